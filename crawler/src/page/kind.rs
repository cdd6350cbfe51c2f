//! What a page is: a product, or what crawls meet instead of one. Evidence is
//! weighed in a fixed order, and a product that says so itself (structured
//! data with a price) wins over words and forms.

use std::sync::LazyLock;

use serde::Serialize;

use super::report::{ExtractedProduct, Rule};

/// What a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PageKind {
    Product,
    /// Many products: a category, a search, a home page.
    Listing,
    Login,
    /// It was answered with 200, but says that nothing is there.
    SoftNotFound,
    /// A wall, a challenge or a refusal in place of the page.
    Blocked,
    Other,
}

impl PageKind {
    pub const ALL: [Self; 6] = [
        Self::Product,
        Self::Listing,
        Self::Login,
        Self::SoftNotFound,
        Self::Blocked,
        Self::Other,
    ];

    /// The name that the JSON form carries.
    pub fn name(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Listing => "listing",
            Self::Login => "login",
            Self::SoftNotFound => "soft_not_found",
            Self::Blocked => "blocked",
            Self::Other => "other",
        }
    }
}

impl PageKind {
    /// Whether a product that was found on such a page is its own.
    pub(super) fn may_sell(self) -> bool {
        match self {
            Self::Product => true,
            Self::Listing | Self::Login | Self::SoftNotFound | Self::Blocked | Self::Other => false,
        }
    }

    /// What people are told.
    pub fn words(self) -> &'static str {
        match self {
            Self::Product => "a product",
            Self::Listing => "a list of products",
            Self::Login => "a login",
            Self::SoftNotFound => "a page that says that nothing is there",
            Self::Blocked => "a wall or challenge in place of the page",
            Self::Other => "another page",
        }
    }
}

/// What is known of a page when it is judged.
#[derive(Debug, Default)]
pub(super) struct Evidence<'e> {
    pub(super) status: Option<u16>,
    pub(super) title: &'e str,
    pub(super) heading: &'e str,
    /// The start of the page's text, if the whole is short.
    pub(super) short_text: Option<&'e str>,
    /// A script of a wall was seen.
    pub(super) has_wall: bool,
    pub(super) has_captcha: bool,
    pub(super) has_password: bool,
    /// Products that the page lists in structured data.
    pub(super) listed: usize,
    /// Elements that show a price.
    pub(super) prices: usize,
    pub(super) product: Option<&'e ExtractedProduct>,
}

/// Products beside each other from which on a page is a list of them.
pub(super) const LISTED_MIN: usize = 3;

/// Prices on a page from which on it is a list, if nothing marks one product
/// as its own. Pages of one product show those of related ones.
pub(super) const PRICES_MIN: usize = 8;

/// Titles and texts of walls, in lower case.
#[rustfmt::skip]
const WALLS: &[&str] = &[
    "just a moment", "attention required! | cloudflare", "checking your browser",
    "access denied", "access to this page has been denied", "pardon our interruption",
    "robot or human", "are you a robot", "are you human", "you have been blocked",
    "verify you are human", "verify you are a human", "verifying you are human",
    "please verify you", "security check", "ddos protection", "request unsuccessful",
    "bot verification", "unusual traffic", "automated access", "request blocked",
    "enable javascript and cookies to continue", "human verification", "captcha",
    "403 forbidden", "429 too many requests", "too many requests", "접근이 차단", "자동입력 방지",
    "비정상적인 접근", "zugriff verweigert", "accès refusé", "acceso denegado",
];

/// What the scripts of walls hold.
const WALL_SCRIPTS: &[&str] = &[
    "_cf_chl_opt",
    "_Incapsula_Resource",
    "captcha-delivery.com",
    "KPSDK",
    "px-captcha",
    "_pxAppId",
    "/_sec/cp_challenge",
    "sucuri_cloudproxy",
    "awsWafCookieDomainList",
];

/// Whether a script is that of a wall.
pub(super) fn is_wall_script(text: &str) -> bool {
    let bytes = text.as_bytes();
    WALL_SCRIPTS
        .iter()
        .any(|mark| memchr::memmem::find(bytes, mark.as_bytes()).is_some())
}

/// What pages say that are not there, in lower case.
#[rustfmt::skip]
const NOT_FOUND: &[&str] = &[
    "not found", "page doesn't exist", "page does not exist", "page no longer exists",
    "no longer exists", "can't find the page", "cannot find the page", "couldn't find the page",
    "can't find that page", "couldn't find that page", "product is no longer available",
    "product no longer available", "item is no longer available", "has been removed", "error 404",
    "404 error", "http 404", "nicht gefunden", "existiert nicht", "nicht mehr verfügbar",
    "introuvable", "n'existe pas", "n’existe pas", "n'existe plus", "no encontrada",
    "no encontrado", "no existe", "non trovata", "non trovato", "non esiste", "não encontrada",
    "não encontrado", "niet gevonden", "bestaat niet", "hittades inte", "finns inte",
    "ikke fundet", "ikke funnet", "ei löytynyt", "nie znaleziono", "nie istnieje", "nenalezena",
    "neexistuje", "nem található", "nu a fost găsit", "bulunamadı", "не найден", "не существует",
    "не знайден", "찾을 수 없", "존재하지 않", "판매가 종료", "판매 종료", "삭제된 상품",
    "없는 상품", "없는 페이지", "見つかりません", "存在しません", "找不到", "不存在", "已下架",
    "không tìm thấy", "tidak ditemukan", "ไม่พบ", "غير موجود", "לא נמצא",
];

/// Titles of pages that ask who one is, in lower case.
const LOGINS: &[&str] = &[
    "log in",
    "login",
    "sign in",
    "anmelden",
    "connexion",
    "iniciar sesión",
    "accedi",
    "로그인",
    "ログイン",
    "登录",
    "登入",
    "вход",
    "zaloguj",
    "giriş",
];

/// Judges a page.
pub(super) fn judge(evidence: &Evidence<'_>) -> PageKind {
    let title = evidence.title.to_lowercase();
    let heading = evidence.heading.to_lowercase();
    let short = evidence.short_text.map(str::to_lowercase);
    let short = short.as_deref();
    let says = |words: &Words| {
        words.are_in(&title)
            || words.are_in(&heading)
            || short.is_some_and(|text| words.are_in(text))
    };
    let is_marked = evidence.product.is_some_and(is_marked);
    if !is_marked && is_wall(evidence, || says(&WALL_WORDS), short.is_some()) {
        return PageKind::Blocked;
    }
    if is_marked {
        return PageKind::Product;
    }
    let is_gone = matches!(evidence.status, Some(404 | 410));
    // `Lost and Not Found` is a book, if it can be bought.
    let sells = evidence
        .product
        .is_some_and(|product| product.price.is_some() && product.availability.is_some());
    let says_gone = || says(&NOT_FOUND_WORDS) || has_404(&title) || has_404(&heading);
    if is_gone || (!sells && says_gone()) {
        return PageKind::SoftNotFound;
    }
    let asks_who = evidence.has_password && evidence.product.is_none();
    if asks_who || (evidence.has_password && LOGINS.iter().any(|word| title.contains(word))) {
        return PageKind::Login;
    }
    if evidence.listed >= LISTED_MIN || evidence.prices >= PRICES_MIN {
        return match evidence.product {
            // It has a mark of its own, or the pipe's selectors found it.
            Some(product) if is_told(product) && evidence.listed < LISTED_MIN => PageKind::Product,
            Some(_) | None => PageKind::Listing,
        };
    }
    match evidence.product {
        Some(_) => PageKind::Product,
        None => PageKind::Other,
    }
}

/// Words by their first byte. Texts are short and words many, so that making
/// a searcher of each word would cost more than looking.
struct Words {
    by_first: Vec<Vec<&'static [u8]>>,
}

impl Words {
    fn new(words: &[&'static str]) -> Self {
        let mut by_first = vec![Vec::new(); 256];
        for word in words {
            if let Some(first) = word.as_bytes().first() {
                by_first[usize::from(*first)].push(word.as_bytes());
            }
        }
        Self { by_first }
    }

    /// Whether a text holds one of them.
    fn are_in(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        bytes.iter().enumerate().any(|(at, first)| {
            let words = &self.by_first[usize::from(*first)];
            words.iter().any(|word| bytes[at..].starts_with(word))
        })
    }
}

static WALL_WORDS: LazyLock<Words> = LazyLock::new(|| Words::new(WALLS));
static NOT_FOUND_WORDS: LazyLock<Words> = LazyLock::new(|| Words::new(NOT_FOUND));

/// A challenge stands for the page: its script is there, or the page is short
/// and says so, or was refused.
fn is_wall(evidence: &Evidence<'_>, says_wall: impl Fn() -> bool, is_short: bool) -> bool {
    let refused = matches!(evidence.status, Some(401 | 403 | 407 | 429 | 503));
    let pictures = evidence.has_captcha && (is_short || refused);
    let words = || (is_short || refused || evidence.has_captcha) && says_wall();
    (evidence.has_wall && (is_short || refused)) || pictures || (refused && is_short) || words()
}

/// Whether structured data or the shop's own state gave the price.
pub(super) fn is_marked(product: &ExtractedProduct) -> bool {
    let from = product.price.as_ref().map(|price| price.from);
    from.is_some_and(|from| !matches!(from, Rule::Html | Rule::Css))
}

fn has_marked_title(product: &ExtractedProduct) -> bool {
    let title = product.title.as_ref();
    title.is_some_and(|title| !matches!(title.from, Rule::Html | Rule::Css))
}

/// Whether a product is taken for the page's own however many prices the page
/// shows.
pub(super) fn is_told(product: &ExtractedProduct) -> bool {
    is_marked(product) || has_marked_title(product) || is_selected_by_pipe(product)
}

/// Whether the pipe's own selectors found name and price.
fn is_selected_by_pipe(product: &ExtractedProduct) -> bool {
    let title = product.title.as_ref().map(|title| title.from);
    let price = product.price.as_ref().map(|price| price.from);
    title == Some(Rule::Css) && price == Some(Rule::Css)
}

/// Whether `404` stands in a text as a word of its own.
fn has_404(text: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_alphanumeric());
    let short = text.chars().count() < 60;
    short && words.any(|word| word == "404")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_without_product_are_told_apart() {
        let check = |evidence: Evidence<'_>, expected: PageKind| {
            assert_eq!(judge(&evidence), expected, "{evidence:?}");
        };
        let page = |title: &'static str, short: Option<&'static str>| Evidence {
            title,
            short_text: short,
            ..Evidence::default()
        };
        check(
            page("Just a moment...", Some("Checking")),
            PageKind::Blocked,
        );
        check(
            page("Shop", Some("Access Denied. Reference #18")),
            PageKind::Blocked,
        );
        check(
            page("What to do when access is denied", None),
            PageKind::Other,
        );
        let wall = Evidence {
            has_wall: true,
            short_text: Some(""),
            ..Evidence::default()
        };
        check(wall, PageKind::Blocked);
        let refused = Evidence {
            status: Some(403),
            short_text: Some("no"),
            ..Evidence::default()
        };
        check(refused, PageKind::Blocked);
        let captcha = Evidence {
            has_captcha: true,
            ..Evidence::default()
        };
        check(captcha, PageKind::Other);
        check(page("Page not found | Shop", None), PageKind::SoftNotFound);
        check(page("404", None), PageKind::SoftNotFound);
        check(page("Model 4040", None), PageKind::Other);
        check(
            page("Shop", Some("페이지를 찾을 수 없습니다")),
            PageKind::SoftNotFound,
        );
        check(page("Seite nicht gefunden", None), PageKind::SoftNotFound);
        check(page("Page introuvable", None), PageKind::SoftNotFound);
        check(
            page("상품이 존재하지 않습니다", None),
            PageKind::SoftNotFound,
        );
        let login = Evidence {
            has_password: true,
            title: "Sign in",
            ..Evidence::default()
        };
        check(login, PageKind::Login);
        let listing = Evidence {
            prices: 20,
            ..Evidence::default()
        };
        check(listing, PageKind::Listing);
        let listed = Evidence {
            listed: 24,
            ..Evidence::default()
        };
        check(listed, PageKind::Listing);
        check(page("About us", Some("We sell cups.")), PageKind::Other);
    }
}
