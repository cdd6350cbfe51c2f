//! Fields that hold personal data of sellers, told by their names.
//!
//! Market places put the telephone number, the e-mail address or the owner of
//! a seller into a row. No column of the product takes them, and `extra` must
//! not either unless the pipe says so. Only names are looked at: a telephone
//! number in a description stays where it is. The name of the shop and its id
//! are business data and are not dropped.
//!
//! What is personal follows Korea's Personal Information Protection Act (data
//! by which a person can be known) and what the E-Commerce Act has market
//! places publish of a seller: representative, address, telephone, e-mail and
//! business registration.

/// Each of these alone makes a field personal, when nothing beside it says
/// that it is about something else (`phone_model`).
const PERSONAL: &[&str] = &[
    "phone",
    "phones",
    "telephone",
    "tel",
    "telno",
    "cellphone",
    "handphone",
    "hp",
    "fax",
    "email",
    "mail",
    "ceo",
    "representative",
    "owner",
    "rrn",
    "ssn",
    "passport",
    "kakaotalk",
    "phonenumber",
    "mobilephone",
    "emailaddress",
    "bizno",
    "businessnumber",
];

/// Personal beside a word for the seller.
const PERSONAL_OF_SELLER: &[&str] = &[
    "address",
    "addr",
    "zip",
    "zipcode",
    "postcode",
    "postal",
    "birth",
    "birthday",
    "birthdate",
    "registration",
    "reg",
    "license",
    "mobile",
    "contact",
    "account",
    "bank",
    "person",
];

/// Words for the seller.
const SELLER: &[&str] = &[
    "seller",
    "vendor",
    "merchant",
    "partner",
    "company",
    "business",
    "biz",
    "shop",
    "store",
    "supplier",
    "contact",
    "manager",
    "md",
    "cs",
    "as",
    "customer",
    "return",
    "corporate",
];

/// Words that say nothing of their own.
const FILLING: &[&str] = &[
    "no", "num", "number", "name", "nm", "id", "info", "1", "2", "code", "main", "line", "the",
    "of", "service", "center", "centre", "text", "value",
];

/// Parts of Korean names; Korean joins words without a sign between them.
const PERSONAL_KOREAN: &[&str] = &[
    "전화번호",
    "연락처",
    "휴대폰번호",
    "핸드폰번호",
    "휴대전화",
    "이메일",
    "전자우편",
    "팩스",
    "대표자",
    "대표이사",
    "사업자",
    "계좌",
    "예금주",
    "주민번호",
    "주민등록",
    "생년월일",
    "담당자",
    "판매자주소",
    "판매자전화",
    "업체주소",
    "반품지",
    "출고지주소",
];

/// Whether a field of this name holds personal data of a seller.
pub fn is_personal(field: &str) -> bool {
    if !field.is_ascii() {
        let joined: String = field.chars().filter(|c| c.is_alphanumeric()).collect();
        if PERSONAL_KOREAN.iter().any(|word| joined.contains(word)) {
            return true;
        }
    }
    let words = words(field);
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let known = |word: &String| {
        [PERSONAL, PERSONAL_OF_SELLER, SELLER, FILLING]
            .iter()
            .any(|list| list.contains(&word.as_str()))
    };
    if PERSONAL.contains(&words.concat().as_str()) {
        return true;
    }
    let is_told = has(PERSONAL) || (has(SELLER) && has(PERSONAL_OF_SELLER) && words.len() > 1);
    is_told && words.iter().all(known)
}

/// Words of a name: cut at signs, and where a capital follows a small letter.
/// `e-mail` is one word.
fn words(field: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut after_small = false;
    for c in field.chars() {
        let cut = !c.is_alphanumeric() || (c.is_ascii_uppercase() && after_small);
        if cut && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        after_small = c.is_ascii_lowercase();
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    if let Some(at) = words.windows(2).position(|two| two == ["e", "mail"]) {
        words.remove(at);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_personal_fields() {
        let check = |field: &str, expected: bool| {
            assert_eq!(is_personal(field), expected, "{field}");
        };
        check("seller_phone", true);
        check("sellerPhone", true);
        check("seller.contact.phone", true);
        check("Seller Tel No", true);
        check("SELLER_EMAIL", true);
        check("e-mail", true);
        check("phone", true);
        check("fax", true);
        check("owner_name", true);
        check("ceo", true);
        check("business_registration_owner", true);
        check("business_registration_number", true);
        check("biz_reg_no", true);
        check("bizNo", true);
        check("seller_address", true);
        check("store-zip-code", true);
        check("판매자 연락처", true);
        check("대표자명", true);
        check("사업자등록번호", true);
        check("AS전화번호", true);

        check("seller_id", false);
        check("seller_name", false);
        check("shop_name", false);
        check("seller", false);
        check("contact", false);
        check("phone_model", false);
        check("phone_case_color", false);
        check("mobile_link", false);
        check("store_code", false);
        check("mail_order_only", false);
        check("address", false);
        check("registration", false);
        check("return_policy_label", false);
        check("휴대폰케이스", false);
        check("tax", false);
        check("", false);
        check("___", false);
    }
}
