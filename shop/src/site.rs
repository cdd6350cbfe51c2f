//! The site: home, category and product pages, robots.txt and sitemaps, as text.
//!
//! Simple and valid HTML with the data in one kind of markup a page. The category of a product is a
//! function of its slot, so a category page is made without looking at any other. Products that have
//! left leave gaps in the lists; they do not move the others to other pages.

mod product_page;

use std::fmt::Write;

use crate::markup::escaped;
use crate::model::Model;
use crate::vocabulary::LEAVES;

use self::product_page::price;
pub(crate) use self::product_page::product;

const LEAF_COUNT: u32 = LEAVES.len() as u32;
/// The path that robots.txt always forbids and every page links to.
pub(crate) const FORBIDDEN: &str = "/cart";

pub(crate) fn robots(model: &Model) -> String {
    let spec = model.spec();
    let mut out = format!("User-agent: *\nDisallow: {FORBIDDEN}\n");
    for prefix in &spec.robots_disallow {
        out.push_str("Disallow: ");
        out.push_str(prefix);
        out.push('\n');
    }
    if let Some(delay) = spec.crawl_delay {
        out.push_str(&format!("Crawl-delay: {}\n", delay.as_secs_f64()));
    }
    out.push_str(&format!("\nSitemap: {}/sitemap.xml\n", model.base_url()));
    out
}

pub(crate) fn home(model: &Model, day: u32) -> String {
    let mut body = String::from("<h1>전체 카테고리</h1>\n<ul class=\"categories\">\n");
    for (index, leaf) in (0_u32..).zip(&LEAVES) {
        if page_count(model, index, day) == 0 {
            continue;
        }
        let name = escaped(&leaf.path.join(" > "));
        push(
            &mut body,
            format_args!("<li><a href=\"/category/{index}\">{name}</a></li>\n"),
        );
    }
    body.push_str("</ul>\n");
    page(model, &model.spec().name, "", &body)
}

/// A category page, counted from 1; none where the category or the page does not exist.
pub(crate) fn category(model: &Model, index: u32, number: u32, day: u32) -> Option<String> {
    let leaf = LEAVES.get(index as usize)?;
    let pages = page_count(model, index, day);
    if number == 0 || number > pages.max(1) {
        return None;
    }
    let size = model.spec().page_size;
    let mut body = format!(
        "<h1>{}</h1>\n<ul class=\"products\">\n",
        escaped(leaf.path[2])
    );
    let first = u64::from(number - 1) * u64::from(size);
    for nth in first..first + u64::from(size) {
        let slot = u64::from(index) + nth * u64::from(LEAF_COUNT);
        let Some(slot) = u32::try_from(slot)
            .ok()
            .filter(|s| *s < model.universe(day))
        else {
            break;
        };
        let Some(product) = model.product(slot, day) else {
            continue;
        };
        push(
            &mut body,
            format_args!(
                "<li><a href=\"/product/{}\"><img src=\"{}\" alt=\"\">{}</a> <b>{}</b></li>\n",
                product.id,
                escaped(&product.image_link),
                escaped(&product.title),
                price(&product),
            ),
        );
    }
    body.push_str("</ul>\n<nav>");
    let mut head = String::new();
    if number > 1 {
        let href = page_href(index, number - 1);
        push(
            &mut head,
            format_args!("<link rel=\"prev\" href=\"{href}\">\n"),
        );
        push(
            &mut body,
            format_args!("<a rel=\"prev\" href=\"{href}\">이전</a> "),
        );
    }
    if number < pages {
        let href = page_href(index, number + 1);
        push(
            &mut head,
            format_args!("<link rel=\"next\" href=\"{href}\">\n"),
        );
        push(
            &mut body,
            format_args!("<a rel=\"next\" href=\"{href}\">다음</a>"),
        );
    }
    body.push_str("</nav>\n");
    Some(page(model, leaf.path[2], &head, &body))
}

pub(crate) fn forbidden(model: &Model) -> String {
    page(
        model,
        "장바구니",
        "",
        "<h1>장바구니</h1>\n<p>비어 있습니다.</p>\n",
    )
}

pub(crate) fn sitemap_index(model: &Model, day: u32) -> String {
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <sitemapindex xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n",
    );
    let suffix = if model.spec().sitemap_gzip { ".gz" } else { "" };
    let date = model.published(model.content_day(day)).to_rfc3339();
    for part in 0..part_count(model, day) {
        push(
            &mut out,
            format_args!(
                "<sitemap><loc>{}/sitemap-{part}.xml{suffix}</loc><lastmod>{date}</lastmod></sitemap>\n",
                escaped(model.base_url())
            ),
        );
    }
    out.push_str("</sitemapindex>\n");
    out
}

/// One part of the sitemap, counted from 0.
pub(crate) fn sitemap_part(model: &Model, part: u32, day: u32) -> Option<String> {
    if part >= part_count(model, day) {
        return None;
    }
    let size = model.spec().sitemap_part_urls;
    let first = part * size;
    let end = first.saturating_add(size).min(model.universe(day));
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n",
    );
    let dates: Vec<String> = (0..=day)
        .map(|day| model.published(day).to_rfc3339())
        .collect();
    for product in (first..end).filter_map(|slot| model.product(slot, day)) {
        push(
            &mut out,
            format_args!(
                "<url><loc>{}</loc><lastmod>{}</lastmod></url>\n",
                escaped(&product.link),
                dates[product.updated_day as usize]
            ),
        );
    }
    out.push_str("</urlset>\n");
    Some(out)
}

pub(crate) fn part_count(model: &Model, day: u32) -> u32 {
    model.universe(day).div_ceil(model.spec().sitemap_part_urls)
}

fn page_count(model: &Model, index: u32, day: u32) -> u32 {
    let slots = model
        .universe(day)
        .saturating_sub(index)
        .div_ceil(LEAF_COUNT);
    slots.div_ceil(model.spec().page_size)
}

fn page_href(index: u32, number: u32) -> String {
    match number {
        1 => format!("/category/{index}"),
        _ => format!("/category/{index}?page={number}"),
    }
}

fn page(model: &Model, title: &str, head: &str, body: &str) -> String {
    let (title, name) = (escaped(title), escaped(&model.spec().name));
    let charset = model.spec().page_charset.label();
    format!(
        "<!DOCTYPE html>\n<html lang=\"ko\">\n<head>\n<meta charset=\"{charset}\">\n\
         <title>{title}</title>\n{head}</head>\n<body>\n\
         <header><a href=\"/\">{name}</a> <a href=\"{FORBIDDEN}\">장바구니</a></header>\n\
         <main>\n{body}</main>\n</body>\n</html>\n"
    )
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text)
        .expect("writing to a String does not fail");
}
