//! Shops and what a person writes about them into a pipe file.

use std::fmt::Write as _;

use trawler_shop::{
    DayChange, Model, PLAIN_SELECTORS, PageMarkup, Paging, Shop, ShopSpec, SiteCategory, SiteSpec,
};

use crate::support::Folder;

/// The pipe of every crawl.
pub(crate) const PIPE: &str = "site";

/// What differs on the next day.
pub(crate) const DAY_CHANGE: DayChange = DayChange {
    new_share: 0.03,
    changed_share: 0.06,
    gone_share: 0.03,
    ..DayChange::NONE
};

/// Paths of product pages, as patterns.
const PRODUCTS: &str = "products = [\"/product/\", \"/goods/view?\", \"/p/\", \"/products/item-\", \
                        \"/private/open/product/\"]\n";

/// A shop of one style whose next day differs.
pub(crate) fn plain(name: &str, seed: u64, products: u32) -> ShopSpec {
    ShopSpec {
        day_change: DAY_CHANGE,
        seen_max: 200_000,
        ..ShopSpec::new(name, seed, products)
    }
}

/// A shop with every peculiarity.
pub(crate) fn full(name: &str, seed: u64, products: u32) -> ShopSpec {
    ShopSpec {
        site: SiteSpec::full(),
        page_markup: PageMarkup::All,
        ..plain(name, seed, products)
    }
}

/// A shop that runs, and a folder with a pipe on it.
pub(crate) struct World {
    pub(crate) shop: Shop,
    pub(crate) folder: Folder,
}

/// What the files of a folder say.
#[derive(Debug, Clone)]
pub(crate) struct Says {
    /// Hosts that are let in besides the shop.
    pub(crate) allow: Vec<String>,
    /// Lines of `[net]`.
    pub(crate) net: &'static str,
    /// Lines of `[workers]`.
    pub(crate) workers: &'static str,
    /// Further tables of `trawler.toml`.
    pub(crate) more: String,
    pub(crate) rate_per_s: f64,
    pub(crate) concurrency: u32,
    /// Further lines of `[fetch]`.
    pub(crate) fetch: String,
    /// Lines of `[site]` and its tables.
    pub(crate) site: String,
    /// Lines before any table of the pipe.
    pub(crate) top: String,
    /// Further tables of the pipe.
    pub(crate) tables: String,
}

impl Says {
    /// As fast as it goes; `site` are the lines of `[site]`.
    pub(crate) fn of(site: impl Into<String>) -> Self {
        Self {
            allow: Vec::new(),
            net: "",
            workers: "",
            more: String::new(),
            rate_per_s: 100_000.0,
            concurrency: 16,
            fetch: String::new(),
            site: site.into(),
            top: String::new(),
            tables: String::new(),
        }
    }

    /// Writes the files of a folder.
    pub(crate) fn write_to(&self, folder: &Folder, shop: &Shop) {
        let path = folder.path().join("trawler.toml");
        std::fs::write(path, self.config(shop)).expect("write trawler.toml");
        folder.pipe(PIPE, &self.pipe(shop));
    }

    /// The text of `trawler.toml`; the shop is let in.
    fn config(&self, shop: &Shop) -> String {
        let hosts = self.allow.iter().cloned().chain([shop.addr().to_string()]);
        let hosts: Vec<String> = hosts.map(|host| format!("{host:?}")).collect();
        format!(
            "[net]\ncontact = \"https://example.com/test\"\nallow = [{}]\n{}\n\
             [scheduler]\ntick_ms = 50\n\n[workers]\npoll_s = 1\n{}\n{}",
            hosts.join(", "),
            self.net,
            self.workers,
            self.more,
        )
    }

    /// The text of the pipe.
    pub(crate) fn pipe(&self, shop: &Shop) -> String {
        format!(
            "{}\n[source]\nkind = \"site\"\nurl = \"{}/\"\n\n[schedule]\ncron = \"15 3 * * *\"\n\n\
             [images]\ncollect = false\n\n[fetch]\nrate_per_s = {:?}\nconcurrency = {}\n{}\n\
             {}\n[site]\n{}",
            self.top,
            shop.model().base_url(),
            self.rate_per_s,
            self.concurrency,
            self.fetch,
            self.tables,
            self.site,
        )
    }
}

impl World {
    pub(crate) async fn start(spec: ShopSpec, says: impl FnOnce(&Model) -> Says) -> Self {
        let shop = Shop::start(spec).await.expect("start a shop");
        let says = says(shop.model());
        let world = Self {
            folder: Folder::new(&[], ""),
            shop,
        };
        world.write(&says);
        world
    }

    /// Writes the files of the folder anew.
    pub(crate) fn write(&self, says: &Says) {
        says.write_to(&self.folder, &self.shop);
    }

    pub(crate) fn model(&self) -> &Model {
        self.shop.model()
    }
}

/// Sitemaps alone.
pub(crate) fn by_sitemaps() -> String {
    format!("currency = \"KRW\"\n{}", fields())
}

/// Everything that leads to a product: sitemaps, categories, JSON endpoints,
/// links; product pages are known by their addresses.
pub(crate) fn by_everything(model: &Model) -> String {
    format!(
        "currency = \"KRW\"\n\n[site.links]\nfollow = true\n{PRODUCTS}{}{}",
        lists(model),
        fields()
    )
}

/// Links alone, from the home page on; every page is looked at.
pub(crate) fn by_links() -> String {
    format!(
        "currency = \"KRW\"\nsitemaps = \"none\"\n\n[site.links]\nfollow = true\n{}",
        fields()
    )
}

/// Categories and JSON endpoints alone.
pub(crate) fn by_lists(model: &Model) -> String {
    format!(
        "currency = \"KRW\"\nsitemaps = \"none\"\n\n[site.links]\n{PRODUCTS}{}{}",
        lists(model),
        fields()
    )
}

/// The categories as a person declares them.
fn lists(model: &Model) -> String {
    let mut text = String::new();
    for (at, category) in model.site_categories(0).iter().enumerate() {
        let SiteCategory { url, paging, .. } = category;
        let mut list = |lines: &str| {
            writeln!(text, "\n[[site.categories]]\nurl = \"{url}\"\n{lines}").unwrap();
        };
        match paging {
            // Some links are old addresses of products, which no pattern of
            // product pages matches.
            Paging::NextLink => list("products = \"ul.products a\""),
            Paging::UntilEmpty | Paging::UntilNotFound => {
                list("pages = { parameter = \"page\" }\nproducts = \"ul.products a\"");
            }
            Paging::Numbered => list("pages = { parameter = \"p\" }"),
            Paging::Json => {
                list("pages = \"one\"");
                let first = category.endpoint.as_deref().unwrap();
                let (url, next) = match at % 2 {
                    // By what the answer says, and by counting.
                    0 => (first.to_owned(), "next = \"next\"\n"),
                    _ => (first.replace("offset=0", "offset={offset}"), ""),
                };
                let lines = format!("url = \"{url}\"\nitems = \"items\"\nlink = \"url\"\n{next}");
                writeln!(text, "\n[[site.json]]\n{lines}").unwrap();
            }
        }
    }
    text
}

/// Where the fields stand on pages without structured data.
fn fields() -> String {
    let mut text = "\n[site.extract.fields]\n".to_owned();
    for (field, selector) in PLAIN_SELECTORS {
        writeln!(text, "{field} = {selector:?}").unwrap();
    }
    text
}
