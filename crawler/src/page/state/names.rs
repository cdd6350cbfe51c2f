//! What shops call the members of their products, in lower case without the
//! marks between words; of several names the first counts.

pub(super) const NAMES: &[&str] = &[
    "name",
    "title",
    "productname",
    "producttitle",
    "itemname",
    "displayname",
    "goodsname",
    "contentname",
];
pub(super) const SKUS: &[&str] = &[
    "sku",
    "itemid",
    "productsku",
    "skuid",
    "itemsku",
    "articlenumber",
];
pub(super) const IDS: &[&str] = &[
    "id",
    "productid",
    "itemid",
    "code",
    "productcode",
    "goodsno",
    "contentids",
];
pub(super) const URLS: &[&str] = &[
    "url",
    "canonicalurl",
    "producturl",
    "link",
    "onlinestoreurl",
    "path",
];
pub(super) const HANDLES: &[&str] = &["handle", "slug", "urlkey", "seourl", "urlslug"];
pub(super) const PRICES: &[&str] = &[
    "saleprice",
    "specialprice",
    "currentprice",
    "finalprice",
    "sellingprice",
    "discountedprice",
    "offerprice",
    "price",
    "pricevalue",
    "unitprice",
    "prices",
    "pricing",
    "pricerange",
    "priceinfo",
    "value",
];
pub(super) const LIST_PRICES: &[&str] = &[
    "compareatprice",
    "listprice",
    "originalprice",
    "regularprice",
    "msrp",
    "wasprice",
    "rrp",
    "strikeprice",
    "baseprice",
    "oldprice",
    "priceold",
    "consumerprice",
    "retailprice",
];
/// Members of an object that is a price.
pub(super) const AMOUNTS: &[&str] = &[
    "current",
    "sale",
    "selling",
    "final",
    "special",
    "now",
    "discounted",
    "amount",
    "value",
    "price",
    "min",
    "minvariantprice",
    "regular",
    "centamount",
    "formatted",
    "display",
];
pub(super) const LIST_AMOUNTS: &[&str] = &[
    "list",
    "original",
    "was",
    "regular",
    "compareat",
    "old",
    "msrp",
];
pub(super) const CURRENCIES: &[&str] = &[
    "currency",
    "currencycode",
    "pricecurrency",
    "currencyiso",
    "currencyisocode",
];
pub(super) const BRANDS: &[&str] = &[
    "brand",
    "brandname",
    "vendor",
    "itembrand",
    "manufacturer",
    "maker",
];
pub(super) const DESCRIPTIONS: &[&str] = &[
    "description",
    "bodyhtml",
    "descriptionhtml",
    "longdescription",
    "productdescription",
    "shortdescription",
];
pub(super) const IMAGES: &[&str] = &[
    "images",
    "media",
    "gallery",
    "imageurls",
    "image",
    "featuredimage",
    "imageurl",
    "mainimage",
    "thumbnail",
];
pub(super) const IMAGE_URLS: &[&str] = &[
    "src",
    "url",
    "originalsrc",
    "contenturl",
    "large",
    "zoom",
    "href",
    "source",
    "image",
];
pub(super) const GTINS: &[&str] = &[
    "gtin", "gtin13", "ean", "upc", "barcode", "gtin14", "gtin12", "isbn",
];
pub(super) const MPNS: &[&str] = &["mpn", "partnumber", "manufacturerpartnumber", "modelnumber"];
pub(super) const CATEGORIES: &[&str] = &[
    "category",
    "producttype",
    "itemcategory",
    "categoryname",
    "type",
];
pub(super) const STATUSES: &[&str] = &[
    "availability",
    "stockstatus",
    "availabilitystatus",
    "inventorystatus",
    "stocklevelstatus",
];
pub(super) const IN_STOCK: &[&str] = &[
    "available",
    "instock",
    "isinstock",
    "availableforsale",
    "isavailable",
    "buyable",
    "issaleable",
];
pub(super) const SOLD_OUT: &[&str] = &["soldout", "issoldout", "outofstock", "isoutofstock"];
pub(super) const VARIANTS: &[&str] = &[
    "variants",
    "skus",
    "variations",
    "productvariants",
    "childproducts",
];

/// Keys of objects that hold the page's own product.
pub(super) const OWN_KEYS: &[&str] = &[
    "product",
    "productdata",
    "productdetail",
    "productdetails",
    "currentproduct",
    "productinfo",
    "pdp",
    "item",
    "goods",
    "mainproduct",
];

/// Keys of lists of other products.
pub(super) const FOREIGN_KEYS: &[&str] = &[
    "relatedproducts",
    "related",
    "recommendations",
    "recommended",
    "similarproducts",
    "upsell",
    "upsells",
    "crosssell",
    "recentlyviewed",
    "impressions",
    "cart",
    "cartitems",
    "lineitems",
];
