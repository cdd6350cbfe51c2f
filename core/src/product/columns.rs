//! The table of product columns. `id` comes first; the order is the order in
//! the catalogue. What a partner sends and no column takes goes to the
//! catalogue's `extra` map.
//!
//! It is the union of two public specifications: Naver's shopping EP 3.0
//! (tab-separated engine page) and Google Merchant's product data, plus what
//! Trawler adds (`category_mapped`, `brand_normalised`). A `naver_ep` or
//! `merchant` source may name several fields joined by `>`: their values
//! become one path. The same source named by two columns is split between
//! them. The tests below name the fields of the specifications that no column
//! takes.

use super::column::{Column, Kind};

const MINOR_UNITS: Option<&str> = Some("minor units of currency");

const fn column(
    name: &'static str,
    kind: Kind,
    unit: Option<&'static str>,
    naver_ep: Option<&'static str>,
    merchant: Option<&'static str>,
    doc: &'static str,
) -> Column {
    Column {
        name,
        kind,
        unit,
        naver_ep,
        merchant,
        doc,
    }
}

/// The one column that is no part of a product: whether a row changed does not
/// depend on it, and a row of a summary feed that is older by it is ignored.
pub const PARTNER_UPDATED: &str = "partner_updated";

#[rustfmt::skip]
pub const COLUMNS: &[Column] = &[
    column("id", Kind::Text, None, Some("id"), Some("id"),
        "The partner's own product id, unique within the pipe."),
    column("title", Kind::Text, None, Some("title"), Some("title"),
        "Name of the product as the partner writes it."),
    column("price_minor", Kind::Int, MINOR_UNITS, Some("price_pc"), Some("price"),
        "Regular selling price."),
    column("currency", Kind::Text, None, None, None,
        "ISO 4217 code of every amount in the row; read from the amounts, or the pipe's default."),
    column("link", Kind::Text, None, Some("link"), Some("link"),
        "Product page."),
    column("image_link", Kind::Text, None, Some("image_link"), Some("image_link"),
        "Main image."),
    column("additional_image_links", Kind::TextList, None, Some("add_image_link"), Some("additional_image_link"),
        "Further images of the same product, in the partner's order."),
    column("lifestyle_image_links", Kind::TextList, None, None, Some("lifestyle_image_link"),
        "Images of the product in use."),
    column("video_links", Kind::TextList, None, None, Some("video_link"),
        "Videos of the product."),
    column("virtual_model_link", Kind::Text, None, None, Some("virtual_model_link"),
        "3D model of the product."),
    column("mobile_link", Kind::Text, None, Some("mobile_link"), Some("mobile_link"),
        "Product page for mobile devices."),
    column("canonical_link", Kind::Text, None, None, Some("canonical_link"),
        "Product page without tracking parameters, the same for all variants."),
    column("ads_redirect", Kind::Text, None, None, Some("ads_redirect"),
        "Product page with the tracking parameters of advertisements."),
    column("description", Kind::Text, None, None, Some("description"),
        "Description as the partner writes it, markup included."),
    column("short_title", Kind::Text, None, None, Some("short_title"),
        "Short name for narrow displays."),
    column("highlights", Kind::TextList, None, None, Some("product_highlight"),
        "Selling points, one sentence each."),
    column("product_details", Kind::TextList, None, None, Some("product_detail"),
        "Specifications as section:attribute:value."),
    column("attributes", Kind::TextList, None, Some("attribute"), None,
        "Attribute values in the partner's order."),
    column("options", Kind::TextList, None, Some("option_detail"), None,
        "Purchase options as name^price."),
    column("search_tags", Kind::TextList, None, Some("search_tag"), None,
        "Search words the partner gives."),
    column("list_price_minor", Kind::Int, MINOR_UNITS, Some("normal_price"), None,
        "List price before any reduction."),
    column("mobile_price_minor", Kind::Int, MINOR_UNITS, Some("price_mobile"), None,
        "Selling price on mobile devices."),
    column("benefit_price_minor", Kind::Int, MINOR_UNITS, Some("benefit_price"), None,
        "Selling price after coupons and card reductions open to everybody."),
    column("sale_price_minor", Kind::Int, MINOR_UNITS, None, Some("sale_price"),
        "Reduced price, valid between sale_starts and sale_ends."),
    column("sale_starts", Kind::Instant, None, None, Some("sale_price_effective_date"),
        "Start of the reduced price."),
    column("sale_ends", Kind::Instant, None, None, Some("sale_price_effective_date"),
        "End of the reduced price."),
    column("cost_of_goods_sold_minor", Kind::Int, MINOR_UNITS, None, Some("cost_of_goods_sold"),
        "The partner's own cost of the product."),
    column("auto_pricing_min_price_minor", Kind::Int, MINOR_UNITS, None, Some("auto_pricing_min_price"),
        "Lowest price to which automatic pricing may go."),
    column("maximum_retail_price_minor", Kind::Int, MINOR_UNITS, None, Some("maximum_retail_price"),
        "Highest price that the law or the maker allows."),
    column("includes_vat", Kind::Bool, None, Some("includes_vat"), None,
        "Whether the prices hold value-added tax."),
    column("unit_pricing_measure", Kind::Text, None, None, Some("unit_pricing_measure"),
        "Amount of product in the offer, with its unit."),
    column("unit_pricing_base_measure", Kind::Text, None, None, Some("unit_pricing_base_measure"),
        "Amount that the price per unit refers to."),
    column("installment", Kind::Text, None, None, Some("installment"),
        "Payment in instalments as months:amount."),
    column("interest_free_event", Kind::Text, None, Some("interest_free_event"), None,
        "Interest-free instalments as card^months, joined by a vertical bar."),
    column("subscription_cost", Kind::Text, None, None, Some("subscription_cost"),
        "Subscription bundled with the product as period:length:amount."),
    column("loyalty_program", Kind::TextList, None, None, Some("loyalty_program"),
        "Member prices and points as program:tier:price:cashback:points."),
    column("points", Kind::Text, None, Some("point"), Some("loyalty_points"),
        "Points for a purchase as name^points."),
    column("card_event", Kind::Text, None, Some("card_event"), None,
        "Card reductions as card^price, joined by a vertical bar."),
    column("event_words", Kind::Text, None, Some("event_words"), None,
        "Text of a running promotion."),
    column("coupon", Kind::Text, None, Some("coupon"), None,
        "Coupon reductions as general^partner."),
    column("coupon_download_required", Kind::Bool, None, Some("partner_coupon_download"), None,
        "Whether the coupon has to be downloaded first."),
    column("promotion_ids", Kind::TextList, None, None, Some("promotion_id"),
        "Promotions of the partner that the product takes part in."),
    column("availability", Kind::Text, Some("in_stock, out_of_stock, preorder, backorder"), None, Some("availability"),
        "Whether the product can be ordered."),
    column("availability_date", Kind::Instant, None, None, Some("availability_date"),
        "When a product on preorder or backorder can be delivered."),
    column("expiration_date", Kind::Instant, None, None, Some("expiration_date"),
        "When the offer ends."),
    column("stock_quantity", Kind::Int, Some("pieces"), None, Some("quantity"),
        "Pieces in stock."),
    column("condition", Kind::Text, Some("new, used, refurbished, display, returned, scratched"), Some("condition"), Some("condition"),
        "State of the product."),
    column("category_path", Kind::Text, None, Some("category_name1>category_name2>category_name3>category_name4"), Some("product_type"),
        "The partner's own category from the root, joined by `>`."),
    column("category_mapped", Kind::Text, None, None, None,
        "Own category that the mapping tables give for category_path."),
    column("google_category", Kind::Text, None, None, Some("google_product_category"),
        "Category in Google's taxonomy, as path or number."),
    column("naver_category", Kind::Text, None, Some("naver_category"), None,
        "Category number in Naver's taxonomy."),
    column("brand", Kind::Text, None, Some("brand"), Some("brand"),
        "Brand as sent."),
    column("brand_normalised", Kind::Text, None, None, None,
        "Brand that the mapping tables give, else the brand folded to one spelling."),
    column("maker", Kind::Text, None, Some("maker"), None,
        "Manufacturer as sent."),
    column("origin", Kind::Text, None, Some("origin"), None,
        "Country or place of origin as sent."),
    column("model", Kind::Text, None, Some("model_number"), None,
        "Model name."),
    column("model_normalised", Kind::Text, None, None, None,
        "Letters and digits of the model, in capitals; empty where the model has no digit."),
    column("mpn", Kind::Text, None, Some("manufacture_define_number"), Some("mpn"),
        "Part number of the manufacturer."),
    column("gtin", Kind::Text, None, Some("barcode"), Some("gtin"),
        "GTIN-8, -12, -13 or -14 with a correct check digit, digits only."),
    column("identifier_exists", Kind::Bool, None, None, Some("identifier_exists"),
        "False where the maker assigned no gtin, mpn or brand."),
    column("item_group_id", Kind::Text, None, Some("group_id"), Some("item_group_id"),
        "Shared by the variants of one product."),
    column("naver_product_id", Kind::Text, None, Some("naver_product_id"), None,
        "Price-comparison page at Naver."),
    column("pre_match_code", Kind::Text, None, Some("pre_match_code"), None,
        "Code agreed with Naver for matching."),
    column("vendor_ids", Kind::TextList, None, Some("vendor_id"), None,
        "Ids of the product at affiliates as name^id."),
    column("coordinated_ids", Kind::TextList, None, Some("coordi_id"), None,
        "Ids of products that are sold to go with this one."),
    column("seller_id", Kind::Text, None, Some("seller_id"), Some("external_seller_id"),
        "Seller on a marketplace."),
    column("goods_type", Kind::Text, None, Some("goods_type"), None,
        "Kind of shop: MA mart, DF duty free, HS home shopping, DP department store."),
    column("sales_type", Kind::Text, None, Some("product_flag"), None,
        "Way of sale, such as wholesale, rental, preorder or purchase by proxy."),
    column("is_imported", Kind::Bool, None, Some("import_flag"), None,
        "Whether the product is bought abroad by proxy."),
    column("is_parallel_import", Kind::Bool, None, Some("parallel_import"), None,
        "Whether the product is a parallel import."),
    column("is_made_to_order", Kind::Bool, None, Some("order_made"), None,
        "Whether the product is made to order."),
    column("adult", Kind::Bool, None, Some("adult"), Some("adult"),
        "Whether minors may not buy the product."),
    column("age_group", Kind::Text, Some("newborn, infant, toddler, kids, teen, adult"), Some("age_group"), Some("age_group"),
        "Whom the product is made for, by age."),
    column("gender", Kind::Text, Some("male, female, unisex"), Some("gender"), Some("gender"),
        "Whom the product is made for, by gender."),
    column("color", Kind::Text, None, None, Some("color"),
        "Colours, joined by a slash."),
    column("size", Kind::Text, None, None, Some("size"),
        "Size as sent."),
    column("size_types", Kind::TextList, None, None, Some("size_type"),
        "Cut, such as petite, plus or maternity."),
    column("size_system", Kind::Text, None, None, Some("size_system"),
        "Country whose sizes are meant."),
    column("material", Kind::Text, None, None, Some("material"),
        "Materials, joined by a slash."),
    column("pattern", Kind::Text, None, None, Some("pattern"),
        "Pattern or print."),
    column("multipack", Kind::Int, Some("pieces"), None, Some("multipack"),
        "Identical products in one offer."),
    column("is_bundle", Kind::Bool, None, None, Some("is_bundle"),
        "Whether different products are sold together."),
    column("minimum_purchase_quantity", Kind::Int, Some("pieces"), Some("minimum_purchase_quantity"), None,
        "Least number that can be ordered."),
    column("review_count", Kind::Int, Some("reviews"), Some("review_count"), None,
        "Reviews at the partner."),
    column("certifications", Kind::TextList, None, None, Some("certification"),
        "Certifications as authority:name:code."),
    column("energy_efficiency_class", Kind::Text, None, None, Some("energy_efficiency_class"),
        "Energy label."),
    column("min_energy_efficiency_class", Kind::Text, None, None, Some("min_energy_efficiency_class"),
        "Lowest class on the scale of the energy label."),
    column("max_energy_efficiency_class", Kind::Text, None, None, Some("max_energy_efficiency_class"),
        "Highest class on the scale of the energy label."),
    column("product_weight_g", Kind::Float, Some("grams"), None, Some("product_weight"),
        "Weight of the product."),
    column("product_length_cm", Kind::Float, Some("centimetres"), None, Some("product_length"),
        "Length of the product."),
    column("product_width_cm", Kind::Float, Some("centimetres"), None, Some("product_width"),
        "Width of the product."),
    column("product_height_cm", Kind::Float, Some("centimetres"), None, Some("product_height"),
        "Height of the product."),
    column("shipping_weight_g", Kind::Float, Some("grams"), None, Some("shipping_weight"),
        "Weight of the parcel."),
    column("shipping_length_cm", Kind::Float, Some("centimetres"), None, Some("shipping_length"),
        "Length of the parcel."),
    column("shipping_width_cm", Kind::Float, Some("centimetres"), None, Some("shipping_width"),
        "Width of the parcel."),
    column("shipping_height_cm", Kind::Float, Some("centimetres"), None, Some("shipping_height"),
        "Height of the parcel."),
    column("shipping", Kind::TextList, None, None, Some("shipping"),
        "Delivery offers as country:region:service:price."),
    column("shipping_cost_minor", Kind::Int, MINOR_UNITS, Some("shipping"), None,
        "Delivery charge; 0 is free, -1 is paid on delivery."),
    column("shipping_label", Kind::Text, None, None, Some("shipping_label"),
        "Group of products that ship alike."),
    column("shipping_differs", Kind::Bool, None, Some("delivery_grade"), None,
        "Whether delivery costs more for some regions or items."),
    column("shipping_detail", Kind::Text, None, Some("delivery_detail"), None,
        "Where delivery costs more, and how much."),
    column("shipping_settings", Kind::Text, None, Some("shipping_settings"), None,
        "Delivery promises such as same-day dispatch, as sent."),
    column("installation_costs_extra", Kind::Bool, None, Some("installation_costs"), None,
        "Whether installation is charged apart."),
    column("ships_from_country", Kind::Text, None, None, Some("ships_from_country"),
        "ISO 3166 code of the country of dispatch."),
    column("min_handling_days", Kind::Int, Some("business days"), None, Some("min_handling_time"),
        "Least time until dispatch."),
    column("max_handling_days", Kind::Int, Some("business days"), None, Some("max_handling_time"),
        "Longest time until dispatch."),
    column("transit_time_label", Kind::Text, None, None, Some("transit_time_label"),
        "Group of products that travel alike."),
    column("free_shipping_threshold", Kind::TextList, None, None, Some("free_shipping_threshold"),
        "Order value from which delivery is free, as country:amount."),
    column("custom_label_0", Kind::Text, None, None, Some("custom_label_0"),
        "Label 0 that the partner groups campaigns by."),
    column("custom_label_1", Kind::Text, None, None, Some("custom_label_1"),
        "Label 1 that the partner groups campaigns by."),
    column("custom_label_2", Kind::Text, None, None, Some("custom_label_2"),
        "Label 2 that the partner groups campaigns by."),
    column("custom_label_3", Kind::Text, None, None, Some("custom_label_3"),
        "Label 3 that the partner groups campaigns by."),
    column("custom_label_4", Kind::Text, None, None, Some("custom_label_4"),
        "Label 4 that the partner groups campaigns by."),
    column(PARTNER_UPDATED, Kind::Instant, None, Some("update_time"), None,
        "When the partner last changed the row, as it says; newer alone is no change."),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::product::column_index;

    /// Attributes of the specifications that are kept in `extra`: settings of the
    /// receiving platform, and what has no meaning without it.
    const SENT_TO_EXTRA: &[&str] = &[
        "ads_grouping",
        "ads_labels",
        "carrier_shipping",
        "cloud_export_additional_properties",
        "disclosure_date",
        "display_ads_id",
        "display_ads_link",
        "display_ads_similar_ids",
        "display_ads_title",
        "display_ads_value",
        "excluded_destination",
        "included_destination",
        "link_template",
        "mobile_link_template",
        "pause",
        "pickup_method",
        "pickup_sla",
        "return_policy_label",
        "sell_on_google_quantity",
        "shipping_handling_business_days",
        "shipping_transit_business_days",
        "shopping_ads_excluded_country",
        "store_code",
        "structured_description",
        "structured_title",
        "tax",
        "tax_category",
    ];

    /// Says what to do with the row and is not part of the product.
    const SUMMARY_FIELDS: &[&str] = &["class"];

    /// Every field of Naver EP 3.0, in the order of its guide.
    const EP_FIELDS: &str = "id title price_pc price_mobile benefit_price normal_price link \
        mobile_link image_link add_image_link category_name1 category_name2 category_name3 \
        category_name4 naver_category naver_product_id condition import_flag parallel_import \
        order_made product_flag adult goods_type barcode manufacture_define_number model_number \
        brand maker origin card_event event_words coupon partner_coupon_download \
        interest_free_event point installation_costs pre_match_code search_tag group_id \
        vendor_id coordi_id minimum_purchase_quantity review_count shipping delivery_grade \
        delivery_detail attribute option_detail seller_id age_group gender includes_vat \
        shipping_settings class update_time";

    /// Every attribute of Google Merchant's product data specification.
    const MERCHANT_ATTRIBUTES: &str = "id title structured_title description \
        structured_description link image_link additional_image_link lifestyle_image_link \
        virtual_model_link video_link mobile_link canonical_link short_title availability \
        availability_date cost_of_goods_sold expiration_date price sale_price \
        sale_price_effective_date unit_pricing_measure unit_pricing_base_measure installment \
        subscription_cost loyalty_program loyalty_points auto_pricing_min_price \
        maximum_retail_price google_product_category product_type brand gtin mpn \
        identifier_exists condition adult multipack is_bundle certification \
        energy_efficiency_class min_energy_efficiency_class max_energy_efficiency_class \
        age_group color gender material pattern size size_type size_system item_group_id \
        product_length product_width product_height product_weight product_detail \
        product_highlight ads_redirect custom_label_0 custom_label_1 custom_label_2 \
        custom_label_3 custom_label_4 promotion_id external_seller_id excluded_destination \
        included_destination shopping_ads_excluded_country pause shipping shipping_label \
        shipping_weight shipping_length shipping_width shipping_height ships_from_country \
        max_handling_time min_handling_time transit_time_label free_shipping_threshold \
        carrier_shipping shipping_handling_business_days shipping_transit_business_days \
        quantity link_template mobile_link_template tax tax_category return_policy_label \
        pickup_method pickup_sla disclosure_date store_code ads_grouping ads_labels \
        sell_on_google_quantity display_ads_id display_ads_link display_ads_similar_ids \
        display_ads_title display_ads_value cloud_export_additional_properties";

    fn taken(of: impl Fn(&Column) -> Option<&'static str>) -> BTreeSet<&'static str> {
        COLUMNS
            .iter()
            .filter_map(of)
            .flat_map(|fields| fields.split('>'))
            .chain(SENT_TO_EXTRA.iter().copied())
            .chain(SUMMARY_FIELDS.iter().copied())
            .collect()
    }

    #[test]
    fn about_one_hundred_columns_with_unique_snake_case_names() {
        assert!((95..=115).contains(&COLUMNS.len()), "{}", COLUMNS.len());
        let names: BTreeSet<&str> = COLUMNS.iter().map(|column| column.name).collect();
        assert_eq!(names.len(), COLUMNS.len());
        for name in names {
            let snake = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            assert!(name.bytes().all(snake), "{name}");
            assert!(name.as_bytes()[0].is_ascii_lowercase(), "{name}");
        }
    }

    #[test]
    fn the_guaranteed_columns_come_first() {
        let guaranteed = [
            "id",
            "title",
            "price_minor",
            "currency",
            "link",
            "image_link",
        ];
        for (at, name) in guaranteed.into_iter().enumerate() {
            assert_eq!(column_index(name), Some(at), "{name}");
        }
    }

    #[test]
    fn every_field_of_naver_ep_has_a_place() {
        let taken = taken(|column| column.naver_ep);
        for field in EP_FIELDS.split_whitespace() {
            assert!(taken.contains(field), "{field} goes nowhere");
        }
    }

    #[test]
    fn every_merchant_attribute_has_a_place() {
        let taken = taken(|column| column.merchant);
        for attribute in MERCHANT_ATTRIBUTES.split_whitespace() {
            assert!(taken.contains(attribute), "{attribute} goes nowhere");
        }
    }

    #[test]
    fn no_column_names_a_field_outside_the_specifications() {
        let known: BTreeSet<&str> = EP_FIELDS
            .split_whitespace()
            .chain(MERCHANT_ATTRIBUTES.split_whitespace())
            .collect();
        for column in COLUMNS {
            let fields = [column.naver_ep, column.merchant];
            for field in fields.into_iter().flatten().flat_map(|f| f.split('>')) {
                assert!(known.contains(field), "{}: {field}", column.name);
            }
            if !SENT_TO_EXTRA.iter().all(|field| known.contains(field)) {
                panic!("a field of SENT_TO_EXTRA is in no specification");
            }
        }
    }

    #[test]
    fn every_column_says_what_it_is_and_in_what_unit() {
        for column in COLUMNS {
            assert!(column.doc.ends_with('.'), "{}", column.name);
            let measured = matches!(column.kind, Kind::Int | Kind::Float);
            assert!(!measured || column.unit.is_some(), "{}", column.name);
            if column.name.ends_with("_minor") {
                assert_eq!((column.kind, column.unit), (Kind::Int, MINOR_UNITS));
            }
        }
    }
}
