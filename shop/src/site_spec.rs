//! What a shop's web site is like for those who crawl it: how products are found, addressed and
//! marked up, and which traps are laid.
//!
//! [`SiteSpec::PLAIN`] (the default) is a well-made site in one style. [`SiteSpec::full`] has every
//! peculiarity at once. What a correct crawl finds is [`crate::Model::site_catalogue`] in either case.

use std::time::Duration;

/// Traps may have this many links on a page; more would only measure the shop.
const FARM_LINKS_MAX: u32 = 100_000;
/// Filler of a product page; beyond this a page is a matter of [`Trap::Huge`].
const PADDING_BYTES_MAX: u32 = 8 * 1024 * 1024;

/// The site of a shop, beside its feed.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteSpec {
    pub paths: ProductPaths,
    pub paging: PagingMix,
    pub charsets: CharsetMix,
    pub codings: CodingMix,
    /// Shares (0 to 1) of products by how they can be found; what is left is in the sitemap and in its
    /// category.
    pub places: Places,
    /// Share of links that spell a product's address in another way: tracking parameters, other order
    /// of parameters, fragments, upper-case scheme and host, dot segments, percent-encoding, a
    /// trailing slash.
    pub respelled_share: f64,
    /// Share of products whose links in categories go through two redirects.
    pub moved_share: f64,
    /// Share of products whose pages redirect to `/enter` until the cookie is sent that the home page
    /// (and `/enter`) sets.
    pub walled_share: f64,
    pub gone: Gone,
    pub sitemap: SitemapStyle,
    pub lastmod: Lastmod,
    /// Whether the sitemap index names itself as one of its parts, beside the true ones.
    pub sitemap_names_itself: bool,
    /// Pages that sell nothing (`/notice/N`), in the sitemap and linked from the home page.
    pub notices: u32,
    /// Laid on pages under `/trap/`, linked from the home page.
    pub traps: Vec<Trap>,
    /// The text of robots.txt in place of the shop's own. Its status, delay or redirect are set by a
    /// fault on `/robots.txt`.
    pub robots_text: Option<String>,
    /// Filler markup on each product page: navigation, lists, scripts.
    pub padding_bytes: u32,
}

impl SiteSpec {
    /// Every product in the sitemap and in its category, under one address.
    pub const PLAIN: SiteSpec = SiteSpec {
        paths: ProductPaths::One,
        paging: PagingMix::NextLink,
        charsets: CharsetMix::One,
        codings: CodingMix::None,
        places: Places::EVERYWHERE,
        respelled_share: 0.0,
        moved_share: 0.0,
        walled_share: 0.0,
        gone: Gone::NotFound,
        sitemap: SitemapStyle::Plain,
        lastmod: Lastmod::True,
        sitemap_names_itself: false,
        notices: 0,
        traps: Vec::new(),
        robots_text: None,
        padding_bytes: 0,
    };

    /// Every peculiarity at once, without traps. Goes with [`crate::PageMarkup::All`].
    pub fn full() -> SiteSpec {
        SiteSpec {
            paths: ProductPaths::Mixed,
            paging: PagingMix::Mixed,
            charsets: CharsetMix::Mixed,
            codings: CodingMix::Mixed,
            places: Places {
                linked_share: 0.10,
                related_share: 0.05,
                orphan_share: 0.10,
                forbidden_share: 0.03,
                reallowed_share: 0.03,
            },
            respelled_share: 0.5,
            moved_share: 0.03,
            walled_share: 0.03,
            gone: Gone::Mixed,
            sitemap: SitemapStyle::Mixed,
            lastmod: Lastmod::True,
            sitemap_names_itself: false,
            notices: 40,
            traps: Vec::new(),
            robots_text: None,
            padding_bytes: 0,
        }
    }

    /// Whether robots.txt forbids an area with products.
    pub(crate) fn has_areas(&self) -> bool {
        self.places.forbidden_share + self.places.reallowed_share > 0.0
    }

    /// Says what is wrong: field, value, allowed values.
    pub(crate) fn check(&self) -> Result<(), String> {
        let places = &self.places;
        let shares = [
            ("places.linked_share", places.linked_share),
            ("places.related_share", places.related_share),
            ("places.orphan_share", places.orphan_share),
            ("places.forbidden_share", places.forbidden_share),
            ("places.reallowed_share", places.reallowed_share),
            ("the sum of places", places.sum()),
            ("respelled_share", self.respelled_share),
            (
                "moved_share + walled_share",
                self.moved_share + self.walled_share,
            ),
            ("moved_share", self.moved_share),
            ("walled_share", self.walled_share),
        ];
        for (field, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("site.{field} is {share}, allowed is 0 to 1"));
            }
        }
        if self.padding_bytes > PADDING_BYTES_MAX {
            let found = self.padding_bytes;
            return Err(format!(
                "site.padding_bytes is {found}, allowed is 0 to {PADDING_BYTES_MAX}"
            ));
        }
        for trap in &self.traps {
            if let Trap::LinkFarm { links } = trap
                && *links > FARM_LINKS_MAX
            {
                return Err(format!(
                    "site.traps has a LinkFarm of {links} links, allowed is 0 to {FARM_LINKS_MAX}"
                ));
            }
        }
        Ok(())
    }
}

impl Default for SiteSpec {
    fn default() -> Self {
        SiteSpec::PLAIN
    }
}

/// The addresses of product pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ProductPaths {
    /// `/product/{id}`.
    #[default]
    One,
    /// Also `/goods/view?no={id}`, `/p/{Korean words}-{id}` and `/products/item-{id}`, by product.
    Mixed,
}

/// How category pages lead on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PagingMix {
    /// Every category with links of `rel="next"`.
    #[default]
    NextLink,
    /// All styles of [`Paging`], by category.
    Mixed,
}

/// How one category leads from page to page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Paging {
    /// `/category/N`, then its links of `rel="next"`.
    NextLink,
    /// `/list/N?page=1` and so on, until a page without products.
    UntilEmpty,
    /// `/list/N?page=1` and so on, until 404.
    UntilNotFound,
    /// `/shelf/N`, with links to the neighbouring pages by number (`?p=2`).
    Numbered,
    /// `/scroll/N` shows the first products; further ones come as JSON from
    /// `/api/scroll/N?offset=0&limit=24`: `{"items":[{"id","url","name","price"}],"total","next"}`,
    /// until `next` is null.
    Json,
}

impl Paging {
    /// Every style, in the order of the enum.
    pub const ALL: [Paging; 5] = [
        Paging::NextLink,
        Paging::UntilEmpty,
        Paging::UntilNotFound,
        Paging::Numbered,
        Paging::Json,
    ];
}

/// One category of the site, as a crawl's configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteCategory {
    /// The first page, absolute.
    pub url: String,
    pub paging: Paging,
    /// The first address of the JSON endpoint, for [`Paging::Json`].
    pub endpoint: Option<String>,
    /// Pages (or JSON answers) with products on the day it was asked for.
    pub pages: u32,
}

/// In which bytes and under which label product pages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CharsetMix {
    /// As `page_charset` says, labelled rightly.
    #[default]
    One,
    /// UTF-8, CP949 and UTF-16 by product, labelled rightly, wrongly or not at all.
    Mixed,
}

/// Content codings of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CodingMix {
    #[default]
    None,
    /// None, gzip, br, zstd and deflate, by address and where the request accepts it.
    Mixed,
}

/// Shares (0 to 1) of products by how they can be found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Places {
    /// In a category, not in the sitemap.
    pub linked_share: f64,
    /// Linked from another product's page alone.
    pub related_share: f64,
    /// In the sitemap (with [`SitemapStyle::Mixed`] also in its RSS, Atom or text file) alone.
    pub orphan_share: f64,
    /// Linked and in the sitemap, below a path that robots.txt forbids.
    pub forbidden_share: f64,
    /// Below the forbidden path, where a longer rule allows it again.
    pub reallowed_share: f64,
}

impl Places {
    pub const EVERYWHERE: Places = Places {
        linked_share: 0.0,
        related_share: 0.0,
        orphan_share: 0.0,
        forbidden_share: 0.0,
        reallowed_share: 0.0,
    };

    fn sum(&self) -> f64 {
        self.linked_share
            + self.related_share
            + self.orphan_share
            + self.forbidden_share
            + self.reallowed_share
    }
}

/// What the address of a product that has left answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Gone {
    #[default]
    NotFound,
    /// 404, 410, and 200 with a page that says so ("soft 404"), by product. They stay in the sitemap.
    Mixed,
}

/// How the sitemap is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SitemapStyle {
    /// An index with parts in XML, packed as `sitemap_gzip` says.
    #[default]
    Plain,
    /// Every second part packed, `lastmod` as date, in UTC or in Seoul time, beside `/sitemap-new.rss`,
    /// `/sitemap-new.atom`, `/sitemap-list.txt` and `/sitemap-pages.xml`, all named in robots.txt.
    Mixed,
}

/// What `lastmod` of a product page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Lastmod {
    /// When the product last changed.
    #[default]
    True,
    Absent,
    /// The current day, as many shop systems write it.
    Today,
}

/// Something that never ends, costs too much or leads where nobody should go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trap {
    /// Pages that link to the next one for ever; each lists a few true products.
    EndlessPages,
    /// A category whose numbered pages (`?page=N`) never end, each with links that no other has.
    EndlessCategory,
    /// A category whose numbered pages never end and all show the same products.
    RepeatingCategory,
    /// Days that link to further days, each with a fresh token.
    Calendar,
    /// Each page has so many links to further such pages.
    LinkFarm { links: u32 },
    /// One page with so many elements inside each other.
    DeepNesting { levels: u32 },
    /// One HTML page of so many bytes, chunked.
    Huge { bytes: u64 },
    /// One page that is small on the wire.
    Bomb {
        coding: BombCoding,
        decoded_bytes: u64,
    },
    /// A page that redirects to itself with another query, for ever.
    RedirectLoop,
    /// A page that redirects to an address.
    RedirectTo(String),
    /// A page with links to addresses, for instance of names that resolve to private addresses.
    Links(Vec<String>),
    /// A page that comes in pieces of 16 bytes.
    Drip { every: Duration },
    /// A page whose body never ends.
    Endless,
}

/// The coding of a bomb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BombCoding {
    Gzip,
    Brotli,
    Zstd,
}

impl BombCoding {
    /// The token of `Content-Encoding`.
    pub fn token(self) -> &'static str {
        match self {
            BombCoding::Gzip => "gzip",
            BombCoding::Brotli => "br",
            BombCoding::Zstd => "zstd",
        }
    }
}
