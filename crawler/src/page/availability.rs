//! Whether a product can be bought: schema.org's ItemAvailability, and the
//! ways in which shops of many languages write it.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Serialize;

/// Serialised with schema.org's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Availability {
    InStock,
    OutOfStock,
    PreOrder,
    BackOrder,
    Discontinued,
    InStoreOnly,
}

/// Names of fields for machines, letters only and in lower case.
const NAMES: &[(&str, Availability)] = &[
    ("instock", Availability::InStock),
    ("limitedavailability", Availability::InStock),
    ("onlineonly", Availability::InStock),
    ("madetoorder", Availability::InStock),
    ("availableforsale", Availability::InStock),
    ("availablefororder", Availability::InStock),
    ("lowstock", Availability::InStock),
    ("true", Availability::InStock),
    ("outofstock", Availability::OutOfStock),
    ("oos", Availability::OutOfStock),
    ("soldout", Availability::OutOfStock),
    ("reserved", Availability::OutOfStock),
    ("notavailable", Availability::OutOfStock),
    ("notinstock", Availability::OutOfStock),
    ("false", Availability::OutOfStock),
    ("preorder", Availability::PreOrder),
    ("presale", Availability::PreOrder),
    ("backorder", Availability::BackOrder),
    ("availableonbackorder", Availability::BackOrder),
    ("discontinued", Availability::Discontinued),
    ("instoreonly", Availability::InStoreOnly),
];

/// Phrases of written languages, in lower case, words parted by one blank.
/// Of several in a text the first counts, of those at one place the longest.
#[rustfmt::skip]
const PHRASES: &[(Availability, &[&str])] = &[
    (Availability::InStock, &[
        "in stock", "instock", "available", "available now", "available for sale",
        "available to order", "only a few left", "low stock", "limited stock", "ready to ship",
        "ships today", "ships within",
        "auf lager", "vorrätig", "lieferbar", "sofort lieferbar", "verfügbar", "lagernd",
        "en stock", "disponible", "disponibles", "disponible en stock", "dispo",
        "en existencia", "hay existencias", "en almacén", "quedan",
        "disponibile", "disponibili", "in magazzino", "immediatamente disponibile",
        "em estoque", "em stock", "disponível", "op voorraad", "voorradig", "leverbaar",
        "i lager", "finns i lager", "på lager", "varastossa", "på lagret",
        "dostępny", "dostępna", "dostępne", "na stanie", "w magazynie",
        "skladem", "na skladě", "skladom", "na sklade", "raktáron", "készleten", "elérhető",
        "in stoc", "în stoc", "disponibil", "stokta", "stokta var", "mevcut",
        "в наличии", "есть в наличии", "на складе", "в наявності", "є в наявності", "налично",
        "διαθέσιμο", "άμεσα διαθέσιμο", "σε απόθεμα", "còn hàng", "tersedia", "ada stok",
        "ready stock", "متوفر", "متاح", "موجود", "במלאי", "זמין במלאי",
    ]),
    (Availability::OutOfStock, &[
        "out of stock", "outofstock", "not in stock", "no stock", "0 in stock", "0 available",
        "sold out", "soldout", "unavailable", "currently unavailable", "not available",
        "no longer in stock", "temporarily out of stock", "notify me when available",
        "nicht auf lager", "nicht vorrätig", "nicht lieferbar", "nicht verfügbar",
        "nicht mehr verfügbar", "nicht mehr lieferbar", "ausverkauft", "vergriffen",
        "rupture de stock", "en rupture de stock", "en rupture", "rupture", "épuisé",
        "indisponible", "non disponible", "plus disponible", "pas disponible",
        "agotado", "agotada", "sin stock", "sin existencias", "no disponible", "fuera de stock",
        "esaurito", "esaurita", "non disponibile", "non è disponibile", "terminato",
        "esgotado", "esgotada", "indisponível", "não disponível", "sem estoque", "fora de estoque",
        "sem stock", "uitverkocht", "niet op voorraad", "niet leverbaar", "niet beschikbaar",
        "slut i lager", "slutsåld", "ej i lager", "inte i lager", "tillfälligt slut",
        "utsolgt", "ikke på lager", "udsolgt", "loppuunmyyty", "ei varastossa",
        "niedostępny", "niedostępna", "niedostępne", "brak w magazynie", "wyprzedany",
        "vyprodáno", "není skladem", "nedostupné", "vypredané", "nie je skladom",
        "elfogyott", "nincs raktáron", "nincs készleten", "nem elérhető",
        "stoc epuizat", "indisponibil", "nu este in stoc", "nu este în stoc", "tükendi",
        "stokta yok", "stok yok", "нет в наличии", "распродано", "нет на складе", "закончился",
        "немає в наявності", "няма наличност", "изчерпан", "εξαντλημένο", "εξαντλήθηκε",
        "μη διαθέσιμο", "hết hàng", "tạm hết hàng", "habis", "stok habis", "tidak tersedia",
        "غير متوفر", "غير متاح", "نفذ", "نفدت الكمية", "אזל", "אזל מהמלאי", "לא במלאי",
    ]),
    (Availability::PreOrder, &[
        "pre order", "preorder", "pre orders", "available for preorder", "available for pre order",
        "vorbestellbar", "vorbestellung", "vorbestellen", "précommande", "en précommande",
        "preventa", "en preventa", "reservar", "prenotabile", "preordine", "pré venda",
        "förboka", "forhåndsbestill", "przedsprzedaż", "предзаказ", "ön sipariş", "coming soon",
    ]),
    (Availability::BackOrder, &[
        "back order", "backorder", "on back order", "on backorder", "available on backorder",
        "available on back order", "nachbestellt", "sur commande", "bajo pedido", "sob encomenda",
        "op bestelling", "na zamówienie", "на заказ", "под заказ",
    ]),
    (Availability::Discontinued, &[
        "discontinued", "no longer available", "eingestellt", "descatalogado", "discontinué",
        "fuori produzione", "снят с производства", "no longer sold",
    ]),
    (Availability::InStoreOnly, &[
        "in store only", "instore only", "only in store", "nur im geschäft", "nur in der filiale",
        "uniquement en magasin", "solo en tienda",
    ]),
];

/// Phrases of languages that do not part words, looked for anywhere once the
/// blanks are gone. Those that hold others come first.
#[rustfmt::skip]
const UNPARTED: &[(&str, Availability)] = &[
    ("재고없음", Availability::OutOfStock), ("재고가없", Availability::OutOfStock),
    ("재고0", Availability::OutOfStock), ("일시품절", Availability::OutOfStock),
    ("품절", Availability::OutOfStock), ("매진", Availability::OutOfStock),
    ("판매종료", Availability::OutOfStock), ("판매중지", Availability::OutOfStock),
    ("판매완료", Availability::OutOfStock), ("구매불가", Availability::OutOfStock),
    ("단종", Availability::Discontinued), ("예약판매", Availability::PreOrder),
    ("예약구매", Availability::PreOrder), ("입고예정", Availability::BackOrder),
    ("재고있음", Availability::InStock), ("재고보유", Availability::InStock),
    ("판매중", Availability::InStock), ("구매가능", Availability::InStock),
    ("주문가능", Availability::InStock), ("당일발송", Availability::InStock),
    ("在庫なし", Availability::OutOfStock), ("在庫無し", Availability::OutOfStock),
    ("在庫切れ", Availability::OutOfStock), ("在庫がありません", Availability::OutOfStock),
    ("売り切れ", Availability::OutOfStock), ("売切れ", Availability::OutOfStock),
    ("売切", Availability::OutOfStock), ("完売", Availability::OutOfStock),
    ("品切れ", Availability::OutOfStock), ("取り寄せ", Availability::BackOrder),
    ("お取寄せ", Availability::BackOrder), ("入荷待ち", Availability::BackOrder),
    ("予約受付", Availability::PreOrder), ("予約商品", Availability::PreOrder),
    ("販売終了", Availability::Discontinued), ("生産終了", Availability::Discontinued),
    ("在庫あり", Availability::InStock), ("在庫有", Availability::InStock),
    ("在庫○", Availability::InStock), ("残りわずか", Availability::InStock),
    ("即納", Availability::InStock), ("販売中", Availability::InStock),
    ("缺货", Availability::OutOfStock), ("缺貨", Availability::OutOfStock),
    ("无货", Availability::OutOfStock), ("無貨", Availability::OutOfStock),
    ("售罄", Availability::OutOfStock), ("售完", Availability::OutOfStock),
    ("已售完", Availability::OutOfStock), ("补货中", Availability::OutOfStock),
    ("補貨中", Availability::OutOfStock), ("暂无库存", Availability::OutOfStock),
    ("已下架", Availability::Discontinued), ("预售", Availability::PreOrder),
    ("預購", Availability::PreOrder), ("预订", Availability::PreOrder),
    ("现货", Availability::InStock), ("現貨", Availability::InStock),
    ("有货", Availability::InStock), ("有貨", Availability::InStock),
    ("有库存", Availability::InStock), ("有庫存", Availability::InStock),
    ("สินค้าหมด", Availability::OutOfStock), ("หมดสต็อก", Availability::OutOfStock),
    ("มีสินค้า", Availability::InStock), ("พร้อมส่ง", Availability::InStock),
];

/// Longest text that is a note on availability; longer ones mention much else.
const NOTE_CHARS_MAX: usize = 200;

impl Availability {
    /// Reads `http://schema.org/InStock`, `InStock`, `in stock`, `in_stock`,
    /// `품절` and the like.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let name = text.trim().trim_end_matches('/');
        let name = match name.contains(':') {
            true => name.rsplit(['/', '#', ':']).next().unwrap_or(name),
            false => name,
        };
        let letters: String = name
            .chars()
            .filter(|c| c.is_alphabetic())
            .take(NOTE_CHARS_MAX)
            .flat_map(char::to_lowercase)
            .collect();
        let named = NAMES.iter().find(|(word, _)| *word == letters);
        named
            .map(|(_, availability)| *availability)
            .or_else(|| Self::parse_sentence(text))
    }

    /// Reads free text such as `In stock (22 available)` or `재고 있음`.
    pub(super) fn parse_sentence(text: &str) -> Option<Self> {
        let text = text.trim();
        // Characters are counted only where bytes leave a doubt.
        if text.len() > NOTE_CHARS_MAX && text.chars().count() > NOTE_CHARS_MAX {
            return None;
        }
        if let Some(availability) = first_phrase(&text.to_lowercase()) {
            return Some(availability);
        }
        if text.is_ascii() {
            return None;
        }
        let unparted: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        UNPARTED
            .iter()
            .find(|(phrase, _)| unparted.contains(phrase))
            .map(|(_, availability)| *availability)
    }

    /// Whether a shopper can have it now or on order.
    pub fn can_be_bought(self) -> bool {
        match self {
            Self::InStock | Self::PreOrder | Self::BackOrder | Self::InStoreOnly => true,
            Self::OutOfStock | Self::Discontinued => false,
        }
    }

    /// The word of the catalogue's column.
    pub fn column_word(self) -> &'static str {
        match self {
            Self::InStock | Self::InStoreOnly => "in_stock",
            Self::OutOfStock | Self::Discontinued => "out_of_stock",
            Self::PreOrder => "preorder",
            Self::BackOrder => "backorder",
        }
    }
}

/// The phrase that starts first in a text of lower case; of several at one
/// place the longest.
fn first_phrase(text: &str) -> Option<Availability> {
    let words: Vec<&str> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    (0..words.len()).find_map(|at| {
        let here = &words[at..];
        let phrases = PHRASES_BY_WORD.get(here[0])?;
        let said = phrases
            .iter()
            .filter(|(phrase, _)| here.starts_with(phrase));
        said.max_by_key(|(phrase, _)| phrase.len())
            .map(|(_, availability)| *availability)
    })
}

/// The words of a phrase, and what it says.
type Phrase = (Vec<&'static str>, Availability);

/// [`PHRASES`] by their first words, in their order.
static PHRASES_BY_WORD: LazyLock<HashMap<&str, Vec<Phrase>>> = LazyLock::new(|| {
    let mut by_word: HashMap<&str, Vec<Phrase>> = HashMap::new();
    for (availability, phrases) in PHRASES {
        for phrase in *phrases {
            let words: Vec<&str> = phrase.split(' ').collect();
            let known = by_word.entry(words[0]).or_default();
            known.push((words, *availability));
        }
    }
    by_word
});

#[cfg(test)]
mod tests {
    use super::*;
    use Availability::{BackOrder, Discontinued, InStock, InStoreOnly, OutOfStock, PreOrder};

    #[test]
    fn availability_has_many_spellings() {
        let check = |text: &str, expected: Option<Availability>| {
            assert_eq!(Availability::parse(text), expected, "{text:?}");
        };
        check("http://schema.org/InStock", Some(InStock));
        check("  https://schema.org/OutOfStock ", Some(OutOfStock));
        check("https://schema.org/InStock/", Some(InStock));
        check("https://www.schema.org/SoldOut", Some(OutOfStock));
        check("schema:PreOrder", Some(PreOrder));
        check("https://schema.org/BackOrder", Some(BackOrder));
        check("https://schema.org/LimitedAvailability", Some(InStock));
        check("https://schema.org/OnlineOnly", Some(InStock));
        check("https://schema.org/InStoreOnly", Some(InStoreOnly));
        check("https://schema.org/MadeToOrder", Some(InStock));
        check("https://schema.org/Reserved", Some(OutOfStock));
        check("InStock", Some(InStock));
        check("in stock", Some(InStock));
        check("in_stock", Some(InStock));
        check("instock", Some(InStock));
        check("oos", Some(OutOfStock));
        check("available for order", Some(InStock));
        check("Sold out!", Some(OutOfStock));
        check("품절", Some(OutOfStock));
        check("재고 있음", Some(InStock));
        check("discontinued", Some(Discontinued));
        check("true", Some(InStock));
        check("maybe", None);
        check("", None);
    }

    #[test]
    fn sentences_are_read_in_the_languages_of_shops() {
        let check = |text: &str, expected: Option<Availability>| {
            assert_eq!(Availability::parse_sentence(text), expected, "{text:?}");
        };
        check("In stock (22 available)", Some(InStock));
        check("Availability: In stock", Some(InStock));
        check("Out of stock - back in May", Some(OutOfStock));
        check("Currently unavailable.", Some(OutOfStock));
        check("Not available for delivery", Some(OutOfStock));
        check("No longer available", Some(Discontinued));
        check("0 in stock", Some(OutOfStock));
        check("20 in stock", Some(InStock));
        check("Only 3 left in stock", Some(InStock));
        check("Pre-order now", Some(PreOrder));
        check("Available on back-order", Some(BackOrder));
        check("Vorrätig", Some(InStock));
        check("nicht vorrätig", Some(OutOfStock));
        check("Sofort lieferbar, 1-3 Werktage", Some(InStock));
        check("Zurzeit nicht lieferbar", Some(OutOfStock));
        check("Ausverkauft", Some(OutOfStock));
        check("En stock", Some(InStock));
        check("Rupture de stock", Some(OutOfStock));
        check("Ce produit n'est plus disponible", Some(OutOfStock));
        check("Épuisé", Some(OutOfStock));
        check("Agotado", Some(OutOfStock));
        check("Disponible", Some(InStock));
        check("No disponible", Some(OutOfStock));
        check("Non disponibile", Some(OutOfStock));
        check("Disponibile", Some(InStock));
        check("Produto esgotado", Some(OutOfStock));
        check("Em estoque", Some(InStock));
        check("Op voorraad", Some(InStock));
        check("Uitverkocht", Some(OutOfStock));
        check("Finns i lager", Some(InStock));
        check("Slut i lager", Some(OutOfStock));
        check("På lager", Some(InStock));
        check("Ikke på lager", Some(OutOfStock));
        check("Dostępny", Some(InStock));
        check("Niedostępny", Some(OutOfStock));
        check("Skladem > 5 ks", Some(InStock));
        check("Není skladem", Some(OutOfStock));
        check("Raktáron", Some(InStock));
        check("Elfogyott", Some(OutOfStock));
        check("În stoc", Some(InStock));
        check("Stokta yok", Some(OutOfStock));
        check(
            "TÜKENDİ".to_lowercase().replace('\u{307}', "").as_str(),
            Some(OutOfStock),
        );
        check("Нет в наличии", Some(OutOfStock));
        check("Есть в наличии", Some(InStock));
        check("Hết hàng", Some(OutOfStock));
        check("غير متوفر", Some(OutOfStock));
        check("متوفر", Some(InStock));
        check("재고 있음 (3개)", Some(InStock));
        check("일시 품절입니다", Some(OutOfStock));
        check("재고 0개", Some(OutOfStock));
        check("在庫あり", Some(InStock));
        check("在庫切れ", Some(OutOfStock));
        check("お取り寄せ商品", Some(BackOrder));
        check("现货", Some(InStock));
        check("暂时缺货", Some(OutOfStock));
        check("สินค้าหมด", Some(OutOfStock));
        check("Ships to 22 countries", None);
        check("Stockholm", None);
        check(&"in stock ".repeat(100), None);
    }
}
