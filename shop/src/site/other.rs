//! Pages that sell nothing: log-in, notices, gone products, block pages.

use super::{page, page_worded};
use crate::model::Model;
use crate::vocabulary::SENTENCES;

/// A page of a heading and a sentence.
pub(crate) fn simple(model: &Model, heading: &str, sentence: &str) -> String {
    let body = format!("<h1>{heading}</h1>\n<p>{sentence}</p>\n");
    page(model, heading, "", &body)
}

pub(crate) fn login(model: &Model) -> String {
    let body = "<h1>로그인</h1>\n<form method=\"post\" action=\"/login\">\
                <input name=\"id\"><input type=\"password\" name=\"password\">\
                <button>로그인</button></form>\n<a href=\"/\">처음으로</a>\n";
    page(model, "로그인", "", body)
}

/// A notice, counted from 1; none beyond those of the specification.
pub(crate) fn notice(model: &Model, number: u32) -> Option<String> {
    if number == 0 || number > model.spec().site.notices {
        return None;
    }
    let heading = format!("공지 {number}");
    let text = SENTENCES[number as usize % SENTENCES.len()];
    // Prices in running text are no product's.
    let sentence = format!("{text} 30,000원 이상 무료배송. <a href=\"/\">처음으로</a>");
    Some(simple(model, &heading, &sentence))
}

/// What the address of a product that has left shows, under status 404, 410 or 200.
pub(crate) fn gone(model: &Model, slot: u32) -> String {
    let body = "<h1>존재하지 않는 상품입니다.</h1>\n\
                <p>판매가 종료되었거나 삭제된 상품입니다.</p>\n<a href=\"/\">처음으로</a>\n";
    page_worded(model, model.wording(slot), "상품 없음", "", body)
}

/// What a shop shows to visitors that it takes for robots, under status 200.
pub(crate) fn block_page() -> &'static str {
    "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>Just a moment...</title></head>\n\
     <body><h1>Checking your browser before accessing the site</h1>\n\
     <p>Access denied. Please complete the security check (captcha) to continue.</p>\n\
     <form id=\"challenge-form\" action=\"/cdn-cgi/challenge\"><div class=\"g-recaptcha\"></div></form>\n\
     </body></html>\n"
}
