//! What shops call their fields, beside the names of the specifications that
//! the reader of feeds knows by itself.
//!
//! From feeds of affiliate networks, shop software and price comparisons in
//! Korean and English. A name is in the list of one column; the more telling
//! names come first.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use trawler_core::feed::SUMMARY_FIELDS;
use trawler_core::product::COLUMNS;

/// Column and what it is called, folded as [`fold`] does.
#[rustfmt::skip]
pub(super) const SYNONYMS: &[(&str, &[&str])] = &[
    ("id", &[
        "productid", "goodsid", "itemid", "productno", "goodsno", "itemno", "productcode", "goodscode",
        "itemcode", "prdno", "prdid", "prdcode", "offerid", "merchantproductid", "awproductid", "sku",
        "skuid", "pid", "articlenumber", "artnr", "상품번호", "상품코드", "상품id", "상품아이디", "제품번호",
        "제품코드", "판매자상품코드", "code", "no", "uid",
    ]),
    ("title", &[
        "productname", "goodsname", "itemname", "prdname", "producttitle", "goodsnm", "prdnm", "itemtitle",
        "상품명", "제품명", "상품이름", "name", "subject", "bezeichnung",
    ]),
    ("price_minor", &[
        "sellingprice", "saleprice", "goodsprice", "productprice", "currentprice", "finalprice",
        "searchprice", "lowestprice", "lprice", "판매가", "판매가격", "할인가", "가격", "상품가격", "amount",
        "cost", "preis",
    ]),
    ("list_price_minor", &[
        "listprice", "regularprice", "originalprice", "consumerprice", "marketprice", "retailprice",
        "rrp", "rrpprice", "msrp", "wasprice", "oldprice", "baseprice", "정가", "정상가", "정상가격",
        "소비자가", "소비자가격", "시중가",
    ]),
    ("mobile_price_minor", &["mobileprice", "모바일가격", "모바일판매가"]),
    ("currency", &["currencycode", "pricecurrency", "통화", "화폐"]),
    ("link", &[
        "url", "producturl", "goodsurl", "itemurl", "linkurl", "productlink", "pageurl", "deeplink",
        "awdeeplink", "merchantdeeplink", "detailurl", "landingurl", "pgurl", "href", "상품url", "상품링크",
        "상품주소", "링크",
    ]),
    ("mobile_link", &["mobileurl", "murl", "mlink", "모바일url", "모바일링크"]),
    ("image_link", &[
        "image", "imageurl", "img", "imgurl", "imagelink", "mainimage", "mainimageurl", "productimage",
        "goodsimage", "merchantimageurl", "picture", "pictureurl", "photo", "thumbnail", "thumbnailurl",
        "thumb", "largeimage", "igurl", "이미지", "이미지url", "대표이미지", "상품이미지", "bild",
    ]),
    ("additional_image_links", &[
        "images", "imageurls", "imagelinks", "extraimages", "additionalimages", "additionalimage",
        "additionalimageurl", "otherimages", "moreimages", "gallery", "photos", "pictures", "추가이미지",
    ]),
    ("category_path", &[
        "category", "categorypath", "categories", "categoryname", "productcategory", "merchantcategory",
        "goodscategory", "breadcrumb", "breadcrumbs", "카테고리", "카테고리명", "분류", "kategorie",
    ]),
    ("description", &[
        "desc", "productdescription", "longdescription", "goodsdescription", "detail", "content", "contents",
        "상품설명", "상세설명", "설명", "beschreibung",
    ]),
    ("short_title", &["shortname", "shorttitle"]),
    ("brand", &["brandname", "brandnm", "브랜드", "브랜드명", "marke"]),
    ("maker", &["manufacturer", "makername", "producer", "vendor", "제조사", "제조업체", "hersteller"]),
    ("origin", &["countryoforigin", "madein", "원산지"]),
    ("model", &["modelname", "modelno", "modelnumber", "모델", "모델명", "모델번호"]),
    ("mpn", &["partnumber", "manufacturerpartnumber", "mfrpartno"]),
    ("gtin", &[
        "ean", "ean13", "eancode", "upc", "upccode", "gtin13", "gtin12", "gtin14", "isbn", "isbn13", "jan",
        "barcodenumber", "바코드",
    ]),
    ("availability", &["stockstatus", "availabilitystatus", "productstatus", "판매상태", "재고상태", "품절여부"]),
    ("stock_quantity", &["qty", "quantity", "stockquantity", "stockqty", "inventory", "재고", "재고수량"]),
    ("condition", &["productcondition", "itemcondition", "상품상태"]),
    ("item_group_id", &["groupid", "groupcode", "parentid", "parentsku", "parentproductid", "modelgroup"]),
    ("color", &["colour", "colorname", "색상", "farbe"]),
    ("size", &["sizename", "사이즈", "치수"]),
    ("material", &["fabric", "소재", "재질"]),
    ("gender", &["sex", "성별"]),
    ("search_tags", &["tags", "keywords", "keyword", "검색어", "태그"]),
    ("review_count", &["reviews", "reviewcnt", "reviewcount", "numreviews", "리뷰수", "상품평수"]),
    ("shipping_cost_minor", &["shippingcost", "shippingprice", "deliverycost", "deliveryfee", "shippingfee", "배송비"]),
];

/// Stems that levels of a category are numbered under.
const LEVELS: &[&str] = &[
    "category",
    "categoryname",
    "cate",
    "cat",
    "catename",
    "catnm",
    "depth",
    "카테고리",
    "분류",
    "level",
];

/// Names of the specifications, folded.
static SPECIFIED: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let columns = COLUMNS.iter().flat_map(|column| {
        let fields = column
            .naver_ep
            .into_iter()
            .flat_map(|fields| fields.split('>'));
        fields.chain(column.merchant).chain([column.name])
    });
    columns
        .chain(SUMMARY_FIELDS.iter().copied())
        .map(fold)
        .collect()
});

/// A name without case, blanks and punctuation.
pub(super) fn fold(name: &str) -> String {
    let kept = name.chars().filter(|c| c.is_alphanumeric());
    kept.flat_map(char::to_lowercase).collect()
}

/// Whether the name is one that some feed has for a field.
pub(super) fn is_known(name: &str) -> bool {
    let folded = fold(name);
    SPECIFIED.contains(&folded)
        || level(name).is_some()
        || SYNONYMS.iter().any(|(_, names)| names.contains(&&*folded))
}

/// The column that a name stands for, and how far back in its list it is.
pub(super) fn synonym(name: &str) -> Option<(&'static str, usize)> {
    let direct = |name: &str| {
        let folded = fold(name);
        SYNONYMS.iter().find_map(|(column, names)| {
            let at = names.iter().position(|known| *known == folded)?;
            Some((*column, at))
        })
    };
    let Some((above, last)) = name.rsplit_once('.') else {
        return direct(name);
    };
    // Of a path: `offer.list_price` by all of it or its end, but `brand.name` is
    // the brand and no title.
    let above = above.rsplit('.').next().unwrap_or(above);
    let is_of_its_own = matches!(
        &*fold(last),
        "name" | "id" | "value" | "code" | "no" | "url"
    );
    direct(name).or_else(|| match is_of_its_own {
        true => direct(above).filter(|(column, _)| !matches!(*column, "id" | "title" | "link")),
        false => direct(last).or_else(|| specified_path(last)),
    })
}

/// The end of a path that has the name of a specification.
fn specified_path(last: &str) -> Option<(&'static str, usize)> {
    let folded = fold(last);
    let column = COLUMNS.iter().find(|column| {
        let ep = column.naver_ep.filter(|fields| !fields.contains('>'));
        ep.into_iter()
            .chain(column.merchant)
            .any(|known| fold(known) == folded)
    })?;
    // Behind every synonym.
    Some((column.name, usize::MAX))
}

/// The level of a category that a name stands for: `cate2` is the second.
pub(super) fn level(name: &str) -> Option<(String, u32)> {
    let folded = fold(name);
    let stem = folded.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = folded[stem.len()..].parse().ok()?;
    LEVELS.contains(&stem).then(|| (stem.to_owned(), number))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use trawler_core::product::column_index;

    use super::*;

    #[test]
    fn a_synonym_stands_for_one_column_that_is_there() {
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        for (column, names) in SYNONYMS {
            assert!(column_index(column).is_some(), "{column}");
            for name in *names {
                assert_eq!(fold(name), *name);
                let before = seen.insert(name, column);
                assert_eq!(before, None, "{name}");
            }
        }
    }

    #[test]
    fn names_are_found_however_they_are_spelt() {
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(synonym(name).map(|(column, _)| column), expected, "{name}");
        };
        check("Product ID", Some("id"));
        check("product_id", Some("id"));
        check("productId", Some("id"));
        check("상품명", Some("title"));
        check("URL", Some("link"));
        check("offer.list_price", Some("list_price_minor"));
        check("offer.price", Some("price_minor"));
        check("brand.name", Some("brand"));
        check("seller.name", None);
        check("seller.id", None);
        check("whatever", None);
        assert!(is_known("price_pc") && is_known("google product category"));
        assert!(is_known("class") && !is_known("12000"));
        assert_eq!(level("cate2"), Some(("cate".to_owned(), 2)));
        assert_eq!(
            level("category_name_1"),
            Some(("categoryname".to_owned(), 1))
        );
        assert_eq!(level("line2"), None);
    }
}
