//! The demo's partners: synthetic shops, each with another kind of feed.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context;
use trawler_shop::{Charset, Compression, Currency, FeedFormat, Shop, ShopSpec, Validators};

use crate::args::DemoArgs;

/// Images of the demo's shops are squares of this size.
const IMAGE_PX: u32 = 600;

/// The JSON shop names its fields in its own way, as most do.
const JSON_COLUMNS: &str = "columns = { title = \"name\", link = \"url\", \
     mobile_link = \"mobile_url\", image_link = \"image\", additional_image_links = \"images\", \
     category_path = \"categories\", list_price_minor = \"list_price\", \
     item_group_id = \"group_id\", review_count = \"reviews\" }\n";

/// The running shops.
pub(crate) struct DemoShops {
    shops: Vec<(ShopSpec, Shop)>,
}

/// Requests that the shops saw.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked {
    pub(crate) requests: u64,
    pub(crate) not_modified: u64,
    pub(crate) image_requests: u64,
    pub(crate) image_not_modified: u64,
    pub(crate) image_bytes: u64,
}

impl DemoShops {
    pub(crate) async fn start(args: &DemoArgs) -> anyhow::Result<Self> {
        let mut shops = Vec::new();
        for number in 0..args.shops {
            let spec = spec(args, number);
            let shop = Shop::start(spec.clone())
                .await
                .context("start a synthetic shop")?;
            shops.push((spec, shop));
        }
        Ok(Self { shops })
    }

    pub(crate) async fn stop(self) {
        for (_, shop) in self.shops {
            shop.stop().await;
        }
    }

    pub(crate) fn asked(&self) -> Asked {
        self.shops.iter().fold(Asked::default(), |sum, (_, shop)| {
            let stats = shop.stats();
            Asked {
                requests: sum.requests + stats.requests(),
                not_modified: sum.not_modified + stats.feed.not_modified + stats.image.not_modified,
                image_requests: sum.image_requests + stats.image.requests,
                image_not_modified: sum.image_not_modified + stats.image.not_modified,
                image_bytes: sum.image_bytes + stats.image.body_bytes,
            }
        })
    }

    /// Writes the folder that `trawler -C` reads afterwards as any other.
    pub(crate) fn write_configuration(&self, out: &Path) -> anyhow::Result<()> {
        let hosts: Vec<String> = self
            .shops
            .iter()
            .map(|(_, shop)| format!("\"{}\"", shop.addr()))
            .collect();
        let config = format!(
            "# Written by `trawler demo`. The shops ran on loopback, which is let in here\n\
             # by name; without this no partner can make a worker talk to it.\n\
             [net]\ncontact = \"https://example.com/demo\"\nallow = [{}]\n\n\
             [scheduler]\ntick_ms = 100\n\n[workers]\npoll_s = 1\n",
            hosts.join(", ")
        );
        write(&out.join("trawler.toml"), &config)?;
        fs::create_dir_all(out.join("pipes")).context("create the demo's pipes folder")?;
        for (spec, shop) in &self.shops {
            write(
                &out.join("pipes").join(format!("{}.toml", spec.name)),
                &pipe(spec, shop),
            )?;
        }
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// The kinds of feed take turns. Only every other shop sends validators with
/// its feed, so that both ways to find "nothing changed" are shown.
fn spec(args: &DemoArgs, number: u32) -> ShopSpec {
    let (format, charset, compression, currency) = match number % 4 {
        0 => (
            FeedFormat::NaverEp,
            Charset::Cp949,
            Compression::Gzip,
            Currency::Krw,
        ),
        1 => (
            FeedFormat::Rss,
            Charset::Utf8,
            Compression::None,
            Currency::Usd,
        ),
        2 => (
            FeedFormat::JsonLines,
            Charset::Utf8,
            Compression::Zstd,
            Currency::Krw,
        ),
        _ => (
            FeedFormat::GoogleTsv,
            Charset::Utf8,
            Compression::None,
            Currency::Usd,
        ),
    };
    ShopSpec {
        format,
        charset,
        compression,
        currency,
        image_px: IMAGE_PX,
        // As real shops do, several products share a picture.
        images_distinct: (args.products / 4).clamp(1, 400),
        validators: Validators {
            feed: number.is_multiple_of(2),
            ..Validators::ALL
        },
        ..ShopSpec::new(
            format!("shop-{}", number + 1),
            args.seed + u64::from(number),
            args.products,
        )
    }
}

fn pipe(spec: &ShopSpec, shop: &Shop) -> String {
    let mut text = format!(
        "name = \"Synthetic {}\"\n\n[source]\nkind = \"http\"\nurl = \"{}\"\n\n[feed]\nmode = \"full\"\n",
        spec.name,
        shop.feed_url()
    );
    let rest = match spec.format {
        FeedFormat::NaverEp => "format = \"naver-ep\"\ncharset = \"cp949\"\n".to_owned(),
        FeedFormat::GoogleTsv => "format = \"google-tsv\"\n".to_owned(),
        FeedFormat::JsonLines => format!(
            "format = \"jsonl\"\ncurrency = \"{}\"\n{JSON_COLUMNS}",
            spec.currency.code()
        ),
        _ => "format = \"google-xml\"\n".to_owned(),
    };
    text.push_str(&rest);
    let _ = write!(
        text,
        "\n[schedule]\ncron = \"15 3 * * *\"\nzone = \"Asia/Seoul\"\n\n\
         [fetch]\nrate_per_s = 1000\nconcurrency = 8\n\n\
         [images]\nrecheck = \"every_run\"\n"
    );
    text
}
