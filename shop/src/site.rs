//! The site as text: home, category and product pages, robots.txt, sitemaps, and what sells nothing.
//!
//! Valid HTML with the data in one kind of markup a page (unless broken markup is asked for). Which
//! path leads to what, redirects, cookies and validators are the affair of `route`.

mod items_page;
mod listing;
mod other;
mod padding;
mod product_page;
mod robots;
mod sitemap;
mod state_page;
mod trap;

use std::fmt::Write;

use crate::feed::encode;
use crate::markup::escaped;
use crate::model::{Model, Wording};
use crate::site_spec::PagingMix;
use crate::spec::Charset;
use crate::vocabulary::LEAVES;

pub(crate) use self::listing::{category, category_path, page_count, scroll_json, scroll_path};
pub(crate) use self::other::{block_page, gone, login, notice, simple};
pub(crate) use self::padding::padding;
pub(crate) use self::product_page::product;
pub(crate) use self::robots::robots;
pub(crate) use self::sitemap::{
    EXTRA_SITEMAPS, Extra, entity_bomb, extra_sitemap, is_part_packed, part_count, self_index,
    sitemap_index, sitemap_part,
};
pub(crate) use self::trap::{TrapPage, trap_page, trap_path};

/// The path that robots.txt always forbids and every page links to.
pub(crate) const FORBIDDEN: &str = "/cart";

/// A product's page as it is served, in its charset and without content coding; none where the product
/// of the slot is not on sale. It needs no server, so it also makes the inputs of benchmarks.
pub fn render_page(model: &Model, slot: u32, day: u32) -> Option<Vec<u8>> {
    let text = product(model, &model.product(slot, day)?);
    Some(worded_bytes(&text, model.wording(slot)))
}

/// The bytes of a page.
pub(crate) fn worded_bytes(text: &str, wording: Wording) -> Vec<u8> {
    let mut scratch = Vec::new();
    match wording.charset {
        Charset::Utf8 | Charset::Cp949 => encode(text, wording.charset, &mut scratch).to_vec(),
        // A page in UTF-16 starts with a byte order mark, which wins over every label.
        Charset::Utf16Le => {
            encode(&format!("\u{FEFF}{text}"), Charset::Utf16Le, &mut scratch).to_vec()
        }
    }
}

pub(crate) fn home(model: &Model, day: u32) -> String {
    let mut body = String::from("<h1>전체 카테고리</h1>\n<ul class=\"categories\">\n");
    for (index, leaf) in (0_u32..).zip(&LEAVES) {
        if page_count(model, index, day) == 0 {
            continue;
        }
        let name = escaped(&leaf.path.join(" > "));
        let path = category_path(model.paging(index), index);
        push(
            &mut body,
            format_args!("<li><a href=\"{path}\">{name}</a></li>\n"),
        );
    }
    body.push_str("</ul>\n");
    let site = &model.spec().site;
    if site.paging == PagingMix::Mixed {
        body.push_str(
            "<p><a href=\"/login\">로그인</a> <a href=\"/search?q=sale\">검색</a> \
             <a href=\"mailto:shop@shop.example\">문의</a> <a href=\"javascript:void(0)\">위로</a></p>\n",
        );
    }
    for number in 1..=site.notices {
        push(
            &mut body,
            format_args!("<a href=\"/notice/{number}\">공지 {number}</a>\n"),
        );
    }
    for number in 0..site.traps.len() {
        let path = trap_path(number);
        push(&mut body, format_args!("<a href=\"{path}\">이벤트</a>\n"));
    }
    page(model, &model.spec().name, "", &body)
}

/// A page in the shop's own charset.
fn page(model: &Model, title: &str, head: &str, body: &str) -> String {
    let wording = Wording::right(model.spec().page_charset);
    page_worded(model, wording, title, head, body)
}

fn page_worded(model: &Model, wording: Wording, title: &str, head: &str, body: &str) -> String {
    let (title, name) = (escaped(title), escaped(&model.spec().name));
    let meta = match wording.meta {
        Some(label) => format!("<meta charset=\"{label}\">\n"),
        None => String::new(),
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"ko\">\n<head>\n{meta}\
         <title>{title}</title>\n{head}</head>\n<body>\n\
         <header><a href=\"/\">{name}</a> <a href=\"{FORBIDDEN}\">장바구니</a></header>\n\
         <main>\n{body}</main>\n</body>\n</html>\n"
    )
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text)
        .expect("writing to a String does not fail");
}
