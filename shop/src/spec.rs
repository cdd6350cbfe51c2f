//! What a synthetic shop is: size, formats, and what changes from one day to the next.
//!
//! A specification is plain data. It is checked once, when a model is made of it; everything that the
//! shop serves follows from it, and nothing here touches the network or the clock.

use std::io;
use std::time::Duration;

use crate::fault::Rule;
use crate::site_spec::SiteSpec;

/// Most products a shop may start with; slots of new products must still fit 32 bits after years.
const PRODUCTS_MAX: u32 = 1 << 31;
/// Largest generated picture, 64 megapixels, so that a typing error does not eat the memory.
const IMAGE_PX_MAX: u32 = 8_000;
/// Smallest side that leaves room for shapes and noise.
const IMAGE_PX_MIN: u32 = 8;

/// The dialect a feed is written in. All of them carry the same products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum FeedFormat {
    /// Naver EP 3.0, all products, tab separated, no quoting.
    #[default]
    NaverEp,
    /// Naver EP 3.0 summary: what differs from the day before, with `class` and `update_time`.
    NaverEpSummary,
    /// Google Merchant, tab separated, quoted where needed.
    GoogleTsv,
    /// RSS 2.0 with the Google namespace.
    Rss,
    /// Atom 1.0 with the Google namespace.
    Atom,
    /// Comma separated (or as `csv_separator` says), every text quoted, line breaks inside quotes.
    Csv,
    /// One JSON document, products under `data.items`.
    Json,
    /// One JSON object a line.
    JsonLines,
}

impl FeedFormat {
    /// Every format, in the order of the enum.
    pub const ALL: [FeedFormat; 8] = [
        FeedFormat::NaverEp,
        FeedFormat::NaverEpSummary,
        FeedFormat::GoogleTsv,
        FeedFormat::Rss,
        FeedFormat::Atom,
        FeedFormat::Csv,
        FeedFormat::Json,
        FeedFormat::JsonLines,
    ];

    /// The path the shop serves this format under, without a compression suffix.
    pub fn path(self) -> &'static str {
        match self {
            FeedFormat::NaverEp => "/feed/naver-ep.tsv",
            FeedFormat::NaverEpSummary => "/feed/naver-ep-summary.tsv",
            FeedFormat::GoogleTsv => "/feed/google.tsv",
            FeedFormat::Rss => "/feed/rss.xml",
            FeedFormat::Atom => "/feed/atom.xml",
            FeedFormat::Csv => "/feed/products.csv",
            FeedFormat::Json => "/feed/products.json",
            FeedFormat::JsonLines => "/feed/products.jsonl",
        }
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            FeedFormat::NaverEp | FeedFormat::NaverEpSummary | FeedFormat::GoogleTsv => {
                "text/tab-separated-values"
            }
            FeedFormat::Rss => "application/rss+xml",
            FeedFormat::Atom => "application/atom+xml",
            FeedFormat::Csv => "text/csv",
            FeedFormat::Json => "application/json",
            FeedFormat::JsonLines => "application/x-ndjson",
        }
    }
}

/// The encoding of a text. The generated vocabulary can be written in each of them without loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Charset {
    #[default]
    Utf8,
    /// What Korean shops label `EUC-KR`.
    Cp949,
    /// Little endian, with a byte order mark.
    Utf16Le,
}

impl Charset {
    /// The name as it stands in a `Content-Type` or an XML declaration.
    pub fn label(self) -> &'static str {
        match self {
            Charset::Utf8 => "utf-8",
            Charset::Cp949 => "euc-kr",
            Charset::Utf16Le => "utf-16",
        }
    }
}

/// How the bytes of a feed are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Zstd,
    Brotli,
    /// An archive with one member.
    Zip,
}

impl Compression {
    /// Every compression, in the order of the enum.
    pub const ALL: [Compression; 5] = [
        Compression::None,
        Compression::Gzip,
        Compression::Zstd,
        Compression::Brotli,
        Compression::Zip,
    ];

    /// What is appended to a feed's path; the empty text for [`Compression::None`].
    pub fn suffix(self) -> &'static str {
        match self {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
            Compression::Brotli => ".br",
            Compression::Zip => ".zip",
        }
    }

    pub(crate) fn media_type(self) -> Option<&'static str> {
        match self {
            Compression::None => None,
            Compression::Gzip => Some("application/gzip"),
            Compression::Zstd => Some("application/zstd"),
            Compression::Brotli => Some("application/x-brotli"),
            Compression::Zip => Some("application/zip"),
        }
    }

    /// The token of `Content-Encoding`; an archive and plain bytes have none.
    pub(crate) fn coding(self) -> Option<&'static str> {
        match self {
            Compression::Gzip => Some("gzip"),
            Compression::Zstd => Some("zstd"),
            Compression::Brotli => Some("br"),
            Compression::None | Compression::Zip => None,
        }
    }
}

/// Whether a compressed feed is a compressed file or a compressed transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Packing {
    /// `/feed/x.tsv.gz`, no `Content-Encoding`.
    #[default]
    File,
    /// `/feed/x.tsv` with `Content-Encoding`, when the request accepts it.
    ContentEncoding,
}

/// The currency of all prices of a shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Currency {
    /// No minor digits.
    #[default]
    Krw,
    /// Two minor digits.
    Usd,
}

impl Currency {
    /// The ISO 4217 code.
    pub fn code(self) -> &'static str {
        match self {
            Currency::Krw => "KRW",
            Currency::Usd => "USD",
        }
    }
}

/// Which answers carry `ETag` and `Last-Modified` (and therefore can be 304).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validators {
    pub feed: bool,
    pub pages: bool,
    pub images: bool,
}

impl Validators {
    pub const ALL: Validators = Validators {
        feed: true,
        pages: true,
        images: true,
    };
    pub const NONE: Validators = Validators {
        feed: false,
        pages: false,
        images: false,
    };
}

/// Shares (0 to 1) of what differs on each day from the day before.
///
/// Which products and images are hit is decided by a low-discrepancy sequence, so the counts follow
/// the shares closely (within a few items), also in a small shop.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct DayChange {
    /// New products, relative to the size on day 0.
    pub new_share: f64,
    /// Products with another price (and now and then another title or availability).
    pub changed_share: f64,
    /// Products that leave for good.
    pub gone_share: f64,
    /// Images with new bytes under the same URL.
    pub image_changed_share: f64,
    /// Images that answer 404 on that day; they are back the day after.
    pub image_broken_share: f64,
    /// Images with the same bytes under a new URL; the old one redirects (301).
    pub image_moved_share: f64,
}

impl DayChange {
    /// Nothing changes, ever.
    pub const NONE: DayChange = DayChange {
        new_share: 0.0,
        changed_share: 0.0,
        gone_share: 0.0,
        image_changed_share: 0.0,
        image_broken_share: 0.0,
        image_moved_share: 0.0,
    };
}

/// Shares (0 to 1) of image formats; what is left is JPEG.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageMix {
    pub png_share: f64,
    pub webp_share: f64,
    pub gif_share: f64,
}

/// The outline of generated pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ImageShape {
    #[default]
    Square,
    /// 1:1, 4:3 and 3:4 in turn; the longer side is `image_px`.
    Mixed,
}

/// How product pages say what they sell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum PageMarkup {
    /// JSON-LD (plain and in a graph), OpenGraph and microdata, by product.
    #[default]
    Mixed,
    /// Every one below, by product.
    All,
    JsonLd,
    /// JSON-LD inside an `@graph`, beside a breadcrumb list.
    JsonLdGraph,
    /// JSON-LD as shops break it: comments, CDATA, a trailing comma and semicolon, HTML entities.
    JsonLdBroken,
    /// JSON-LD with a `ProductGroup` of three variants, each a product of its own.
    ProductGroup,
    OpenGraph,
    Microdata,
    /// Microdata whose offer stands elsewhere on the page (`itemref`).
    MicrodataRef,
    /// RDFa Lite.
    Rdfa,
    /// `<script id="__NEXT_DATA__">`.
    NextData,
    /// `window.__INITIAL_STATE__ = {...};`.
    WindowState,
    /// The product JSON of Shopify themes: prices in hundredths, whatever the currency.
    Shopify,
    /// Nothing but classes: see [`PLAIN_SELECTORS`].
    Plain,
}

impl PageMarkup {
    /// The kinds that [`PageMarkup::All`] goes through.
    pub const KINDS: [PageMarkup; 12] = [
        PageMarkup::JsonLd,
        PageMarkup::OpenGraph,
        PageMarkup::Microdata,
        PageMarkup::JsonLdGraph,
        PageMarkup::JsonLdBroken,
        PageMarkup::ProductGroup,
        PageMarkup::MicrodataRef,
        PageMarkup::Rdfa,
        PageMarkup::NextData,
        PageMarkup::WindowState,
        PageMarkup::Shopify,
        PageMarkup::Plain,
    ];
}

/// Field and CSS selector for pages of [`PageMarkup::Plain`]; `@` starts an attribute whose value is
/// meant in place of the text. No other page has elements that match.
pub const PLAIN_SELECTORS: [(&str, &str); 8] = [
    ("id", ".goods-code b"),
    ("title", "h1.goods-name"),
    ("price", ".goods-price strong"),
    ("list_price", ".goods-price del"),
    ("availability", ".goods-stock"),
    ("brand", ".goods-brand a"),
    ("category", ".goods-path a"),
    ("images", ".goods-photos img@src"),
];

/// All that determines a shop.
#[derive(Clone, Debug, PartialEq)]
pub struct ShopSpec {
    /// Shown on pages and in feed titles.
    pub name: String,
    pub seed: u64,
    /// Products on day 0.
    pub products: u32,
    pub format: FeedFormat,
    pub charset: Charset,
    pub compression: Compression,
    pub packing: Packing,
    /// One ASCII byte other than the quote, CR and LF.
    pub csv_separator: u8,
    pub currency: Currency,
    /// Length of a picture's longer side.
    pub image_px: u32,
    pub image_shape: ImageShape,
    pub image_mix: ImageMix,
    /// How many pictures there are; several products share one when there are fewer than products.
    /// 0 gives every product its own.
    pub images_distinct: u32,
    /// Most additional pictures of a product.
    pub extra_images_max: u8,
    pub validators: Validators,
    pub day_change: DayChange,
    pub page_charset: Charset,
    pub page_markup: PageMarkup,
    /// Products on one category page.
    pub page_size: u32,
    /// URLs in one part of the sitemap.
    pub sitemap_part_urls: u32,
    pub sitemap_gzip: bool,
    /// `Crawl-delay` of robots.txt.
    pub crawl_delay: Option<Duration>,
    /// Path prefixes that robots.txt forbids, beside `/cart`.
    pub robots_disallow: Vec<String>,
    /// What links start with in place of `http://{address}`, without a slash at the end.
    pub public_url: Option<String>,
    /// What links of images start with, where that is another host: for instance the base URL of
    /// another shop with the same seed and image settings.
    pub public_image_url: Option<String>,
    /// The web site beside the feed.
    pub site: SiteSpec,
    /// Requests that [`crate::Shop::seen`] remembers, about 300 bytes each.
    pub seen_max: usize,
    /// Faults in force from the start.
    pub misbehaviour: Vec<Rule>,
}

impl Default for ShopSpec {
    fn default() -> Self {
        ShopSpec {
            name: "Synthetic Shop".into(),
            seed: 1,
            products: 1_000,
            format: FeedFormat::default(),
            charset: Charset::default(),
            compression: Compression::default(),
            packing: Packing::default(),
            csv_separator: b',',
            currency: Currency::default(),
            image_px: 600,
            image_shape: ImageShape::default(),
            image_mix: ImageMix {
                png_share: 0.05,
                webp_share: 0.05,
                gif_share: 0.02,
            },
            images_distinct: 0,
            extra_images_max: 2,
            validators: Validators::ALL,
            day_change: DayChange::NONE,
            page_charset: Charset::default(),
            page_markup: PageMarkup::default(),
            page_size: 24,
            sitemap_part_urls: 10_000,
            sitemap_gzip: false,
            crawl_delay: None,
            robots_disallow: Vec::new(),
            public_url: None,
            public_image_url: None,
            site: SiteSpec::PLAIN,
            seen_max: 10_000,
            misbehaviour: Vec::new(),
        }
    }
}

impl ShopSpec {
    /// A shop of `products` products with everything else at its default.
    pub fn new(name: impl Into<String>, seed: u64, products: u32) -> Self {
        ShopSpec {
            name: name.into(),
            seed,
            products,
            ..ShopSpec::default()
        }
    }

    /// The path of the shop's own feed: format, and the compression's suffix where it is a file.
    pub fn feed_path(&self) -> String {
        let suffix = match self.packing {
            Packing::File => self.compression.suffix(),
            Packing::ContentEncoding => "",
        };
        format!("{}{suffix}", self.format.path())
    }

    /// Says what is wrong with the specification, naming the field and its bounds.
    pub(crate) fn check(&self) -> io::Result<()> {
        let d = &self.day_change;
        for (field, share) in [
            ("day_change.new_share", d.new_share),
            (
                "day_change.changed_share + gone_share",
                d.changed_share + d.gone_share,
            ),
            ("day_change.changed_share", d.changed_share),
            ("day_change.gone_share", d.gone_share),
            ("day_change.image_changed_share", d.image_changed_share),
            ("day_change.image_broken_share", d.image_broken_share),
            ("day_change.image_moved_share", d.image_moved_share),
            (
                "day_change.image_changed_share + image_broken_share + image_moved_share",
                d.image_changed_share + d.image_broken_share + d.image_moved_share,
            ),
            ("image_mix.png_share", self.image_mix.png_share),
            ("image_mix.webp_share", self.image_mix.webp_share),
            ("image_mix.gif_share", self.image_mix.gif_share),
            (
                "image_mix.png_share + webp_share + gif_share",
                self.image_mix.png_share + self.image_mix.webp_share + self.image_mix.gif_share,
            ),
        ] {
            ensure((0.0..=1.0).contains(&share), || {
                format!("{field} is {share}, allowed is 0 to 1")
            })?;
        }
        let bounds = [
            ("products", self.products, 0, PRODUCTS_MAX),
            ("image_px", self.image_px, IMAGE_PX_MIN, IMAGE_PX_MAX),
            ("page_size", self.page_size, 1, 1_000),
            // The sitemap protocol allows 50,000 URLs a file.
            ("sitemap_part_urls", self.sitemap_part_urls, 1, 50_000),
        ];
        for (field, found, min, max) in bounds {
            ensure((min..=max).contains(&found), || {
                format!("{field} is {found}, allowed is {min} to {max}")
            })?;
        }
        let s = self.csv_separator;
        ensure(s.is_ascii() && !matches!(s, b'"' | b'\r' | b'\n'), || {
            format!("csv_separator is byte {s}, allowed is ASCII other than quote, CR and LF")
        })?;
        self.site
            .check()
            .or_else(|message| ensure(false, || message))?;
        let coded = self.packing == Packing::File || self.compression.coding().is_some();
        ensure(coded || self.compression == Compression::None, || {
            "packing is ContentEncoding and compression is Zip, which is not a content coding"
                .to_owned()
        })
    }
}

fn ensure(holds: bool, message: impl FnOnce() -> String) -> io::Result<()> {
    if holds {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("the shop's specification does not hold: {}", message()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_specification_is_named() {
        fn check(edit: impl FnOnce(&mut ShopSpec), expected: &str) {
            let mut spec = ShopSpec::default();
            edit(&mut spec);
            let message = spec.check().expect_err("must be refused").to_string();
            assert!(message.contains(expected), "{message}");
        }
        check(|s| s.image_px = 3, "image_px is 3, allowed is 8 to 8000");
        check(
            |s| s.day_change.new_share = 1.5,
            "new_share is 1.5, allowed is 0 to 1",
        );
        check(
            |s| {
                s.day_change.changed_share = 0.7;
                s.day_change.gone_share = 0.7;
            },
            "changed_share + gone_share is 1.4",
        );
        check(|s| s.csv_separator = b'"', "csv_separator is byte 34");
        check(
            |s| {
                s.packing = Packing::ContentEncoding;
                s.compression = Compression::Zip;
            },
            "Zip, which is not a content coding",
        );
        assert!(ShopSpec::default().check().is_ok());
    }

    #[test]
    fn the_feed_path_follows_the_packing() {
        let mut spec = ShopSpec {
            compression: Compression::Gzip,
            ..ShopSpec::default()
        };
        assert_eq!(spec.feed_path(), "/feed/naver-ep.tsv.gz");
        spec.packing = Packing::ContentEncoding;
        assert_eq!(spec.feed_path(), "/feed/naver-ep.tsv");
    }
}
