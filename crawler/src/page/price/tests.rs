//! Prices of every locale, and what is told of those that leave doubts.

#![allow(clippy::unwrap_used)]

use super::*;

fn currency(code: &str) -> Currency {
    Currency::parse(code).unwrap()
}

#[test]
fn prices_of_every_locale() {
    let check = |text: &str, declared: Option<&str>, expected: Option<(i64, &str)>| {
        let found = read(
            &PriceText::of_field(text.to_owned()),
            declared.map(currency),
        )
        .ok();
        let found = found.map(|read| (read.money.amount_minor, read.money.currency.to_string()));
        let found = found.as_ref().map(|(minor, code)| (*minor, code.as_str()));
        assert_eq!(found, expected, "{text:?} {declared:?}");
    };
    // English, and fields for machines.
    check("1,299.00", Some("USD"), Some((129_900, "USD")));
    check("£51.77", None, Some((5_177, "GBP")));
    check("£20.66", None, Some((2_066, "GBP")));
    check("US$ 5", None, Some((500, "USD")));
    check("USD 1,299.5", None, Some((129_950, "USD")));
    check("$119.99", Some("CAD"), Some((11_999, "CAD")));
    check("$119.99 CAD", None, Some((11_999, "CAD")));
    check("from $5", None, Some((500, "USD")));
    check("From: $1,234", None, Some((123_400, "USD")));
    check("$.99", None, Some((99, "USD")));
    check("99p", None, Some((99, "GBP")));
    check("99p", Some("GBP"), Some((99, "GBP")));
    check("99¢", Some("USD"), Some((99, "USD")));
    check("119.99 ", Some("USD"), Some((11_999, "USD")));
    check("119.9", Some("USD"), Some((11_990, "USD")));
    check("1299", Some("USD"), Some((129_900, "USD")));
    check("1299.0", Some("KRW"), Some((1_299, "KRW")));
    check("1.299", Some("USD"), Some((130, "USD")));
    check("1,299", Some("USD"), Some((129_900, "USD")));
    check("1.2999E3", Some("USD"), Some((129_990, "USD")));
    check("33.489999999999995", Some("USD"), Some((3_349, "USD")));
    check("9.999", Some("USD"), Some((1_000, "USD")));
    check("0.5", Some("USD"), Some((50, "USD")));
    check("1234567.89", Some("USD"), Some((123_456_789, "USD")));
    check("15,00", Some("EUR"), Some((1_500, "EUR")));
    check("AU$1,050.00 inc. GST", None, Some((105_000, "AUD")));
    check(
        "Price: £1,050.00 (inc. 20% VAT)",
        None,
        Some((105_000, "GBP")),
    );
    check("Save 20% now £8.00", None, Some((800, "GBP")));
    check("Pack of 3 - £5.99", None, Some((599, "GBP")));
    check("3 for £10", None, Some((1_000, "GBP")));
    check("R 1 299,00", None, Some((129_900, "ZAR")));
    check("R1,299.99", None, Some((129_999, "ZAR")));
    check("RM 12.90", None, Some((1_290, "MYR")));
    check("S$12.90", None, Some((1_290, "SGD")));
    check("NT$1,280", None, Some((128_000, "TWD")));
    check("₱1,280.50", None, Some((128_050, "PHP")));
    check("KSh 1,500", None, Some((150_000, "KES")));
    // Korean, Japanese, Chinese.
    check("₩12,900", None, Some((12_900, "KRW")));
    check("₩ 9,900 ~", None, Some((9_900, "KRW")));
    check("￦9,900", None, Some((9_900, "KRW")));
    check("12,000원", None, Some((12_000, "KRW")));
    check("판매가 12,000 원 (20% 할인)", None, Some((12_000, "KRW")));
    check("20% 12,000원", None, Some((12_000, "KRW")));
    check("3만원", None, Some((30_000, "KRW")));
    check("1.5만원", None, Some((15_000, "KRW")));
    check("12.900", Some("KRW"), Some((12_900, "KRW")));
    check("１２，０００円", None, Some((12_000, "JPY")));
    check("¥1,280(税込)", None, Some((1_280, "JPY")));
    check("1,280円（税込1,408円）", None, Some((1_280, "JPY")));
    check("￥1,280", Some("CNY"), Some((128_000, "CNY")));
    check("128.50元", None, Some((12_850, "CNY")));
    check("RMB 128.50", None, Some((12_850, "CNY")));
    // Europe.
    check("1.234,56 €", None, Some((123_456, "EUR")));
    check("1.299 €", None, Some((129_900, "EUR")));
    check("12,5 €", None, Some((1_250, "EUR")));
    check("1.299,- €", None, Some((129_900, "EUR")));
    check("1299,-", Some("EUR"), Some((129_900, "EUR")));
    check("€ 1.299,00", None, Some((129_900, "EUR")));
    check("€1,299.00", None, Some((129_900, "EUR")));
    check("ab 19,95 EUR", None, Some((1_995, "EUR")));
    check("19,95 Euro", None, Some((1_995, "EUR")));
    check("1\u{a0}299,00\u{a0}€", None, Some((129_900, "EUR")));
    check("1\u{202f}299,90 €", None, Some((129_990, "EUR")));
    check("1 299,00 kr", None, Some((129_900, "SEK")));
    check("1 299:-", Some("SEK"), Some((129_900, "SEK")));
    check("kr 1.299,50", Some("DKK"), Some((129_950, "DKK")));
    check("CHF 1'299.–", None, Some((129_900, "CHF")));
    check("CHF 1’299.50", None, Some((129_950, "CHF")));
    check("Fr. 12.50", None, Some((1_250, "CHF")));
    check("1 299,99 zł", None, Some((129_999, "PLN")));
    check("12 990 Kč", None, Some((1_299_000, "CZK")));
    check("12 990 Ft", None, Some((1_299_000, "HUF")));
    check("129,99 lei", None, Some((12_999, "RON")));
    check("129,99 лв.", None, Some((12_999, "BGN")));
    check("12 990 ₽", None, Some((1_299_000, "RUB")));
    check("12 990 руб.", None, Some((1_299_000, "RUB")));
    check("1 299 грн", None, Some((129_900, "UAH")));
    check("1.299,90 TL", None, Some((129_990, "TRY")));
    check("₺1.299,90", None, Some((129_990, "TRY")));
    // The rest of the world.
    check("Rs. 1,23,456", None, Some((12_345_600, "INR")));
    check("₹1,23,456.50", None, Some((12_345_650, "INR")));
    check("Rs 1,299", Some("PKR"), Some((129_900, "PKR")));
    check("Rp 1.299.000", None, Some((129_900_000, "IDR")));
    check("Rp12.900", None, Some((1_290_000, "IDR")));
    check("1.299.000 ₫", None, Some((1_299_000, "VND")));
    check("1.299.000đ", None, Some((1_299_000, "VND")));
    check("R$ 1.299,90", None, Some((129_990, "BRL")));
    check("MX$1,299.00", None, Some((129_900, "MXN")));
    check("$ 12.990", Some("CLP"), Some((12_990, "CLP")));
    check("S/ 129.90", None, Some((12_990, "PEN")));
    check("฿1,290", None, Some((129_000, "THB")));
    check("1,290 บาท", None, Some((129_000, "THB")));
    check("₪129.90", None, Some((12_990, "ILS")));
    check("د.إ ١٬٢٩٩٫٥٠", None, Some((129_950, "AED")));
    check("١٢٣ ريال", Some("SAR"), Some((12_300, "SAR")));
    check("۱۲۳۴", Some("KRW"), Some((1_234, "KRW")));
    check("KWD 1.234", None, Some((1_234, "KWD")));
    check("1.5", Some("BHD"), Some((1_500, "BHD")));
    // Ranges: the lowest.
    check("from 10.00 to 20.00 GBP", None, Some((1_000, "GBP")));
    check("£10.00 - £20.00", None, Some((1_000, "GBP")));
    check("10–20 €", None, Some((1_000, "EUR")));
    check("$20.00 – $10.00", None, Some((1_000, "USD")));
    check("9,900원 ~ 12,000원", None, Some((9_900, "KRW")));
    check("1.299,00 € bis 1.499,00 €", None, Some((129_900, "EUR")));
    // What is no amount, no price, or nothing to be paid.
    check("51 77 left", Some("USD"), Some((5_100, "USD")));
    check("Free", Some("USD"), Some((0, "USD")));
    check("무료", Some("KRW"), Some((0, "KRW")));
    check("0", Some("USD"), Some((0, "USD")));
    check("£0.00", None, Some((0, "GBP")));
    check("Free", None, None);
    check("POA", Some("GBP"), None);
    check("Price on application", Some("GBP"), None);
    check("가격문의", Some("KRW"), None);
    check("Auf Anfrage", Some("EUR"), None);
    check("20%", Some("EUR"), None);
    check("12900", None, None);
    check("call us", Some("USD"), None);
    check("-5", Some("USD"), None);
    check("-$5.00", None, None);
    check("", Some("USD"), None);
    check("1.2345 €", None, None);
    check("99999999999999999999", Some("USD"), None);
}

#[test]
fn ambiguity_is_told() {
    let check = |text: &str, declared: Option<&str>, expected: &str| {
        let text = PriceText::of_field(text.to_owned());
        let read = read(&text, declared.map(currency)).unwrap();
        let told = read.remarks.join("; ");
        assert!(told.contains(expected), "{text:?}: {told:?}");
        assert_eq!(told.is_empty(), expected.is_empty(), "{text:?}: {told:?}");
    };
    check("$5", None, "several currencies, read as USD");
    check("$5", Some("USD"), "");
    check("$5", Some("CAD"), "");
    check("€5", Some("USD"), "looks like EUR, read as USD");
    check("9.999", Some("USD"), "rounded to 10.00");
    check("0.00", Some("USD"), "it is zero");
    check("Free", Some("USD"), "it is zero");
}

#[test]
fn price_errors_say_what_was_found() {
    let check = |text: &str, expected: &str| {
        let error = read(&PriceText::of_field(text.to_owned()), None).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check("call us", "\"call us\" holds no amount");
    check(
        "5",
        "\"5\" has no currency, and neither does the rest of the page",
    );
    check("£ -5", "\"£ -5\" is below zero");
}

#[test]
fn currencies_are_found_without_an_amount() {
    let check = |text: &str, expected: Option<&str>| {
        let found = currency_field(text).map(|found| found.to_string());
        assert_eq!(found.as_deref(), expected, "{text:?}");
    };
    check("usd", Some("USD"));
    check(" EUR ", Some("EUR"));
    check("€", Some("EUR"));
    check("￦", Some("KRW"));
    check("KRW (₩)", Some("KRW"));
    check("RMB", Some("CNY"));
    check("XTS", Some("XTS"));
    check("money", None);
    check("", None);
}

#[test]
fn long_texts_cost_nothing() {
    let long = "1 ".repeat(1 << 20);
    let read = read(&PriceText::of_field(long), Some(currency("USD"))).unwrap();
    assert_eq!(read.money.amount_minor, 100);
}
