//! Categories, in every style of leading from page to page.
//!
//! With links of `rel="next"` alone the category of a slot decides its page, so that products that
//! have left leave gaps and move no others. With mixed styles the lists close up, as a page without
//! products would be taken for the end.

use super::{page_worded, push};
use crate::markup::{escaped, json_string};
use crate::model::{LinkFrom, Model, Place, Wording};
use crate::number::push_amount;
use crate::product::ShopProduct;
use crate::site_spec::{Paging, PagingMix};
use crate::vocabulary::{LEAF_COUNT, LEAVES};

/// Neighbouring pages that numbered pages link to, on either side.
const NUMBERS_BESIDE: u32 = 2;

/// The path of a category's first page.
pub(crate) fn category_path(paging: Paging, index: u32) -> String {
    match paging {
        Paging::NextLink => format!("/category/{index}"),
        Paging::UntilEmpty | Paging::UntilNotFound => format!("/list/{index}?page=1"),
        Paging::Numbered => format!("/shelf/{index}"),
        Paging::Json => format!("/scroll/{index}"),
    }
}

pub(crate) fn scroll_path(model: &Model, index: u32, offset: u32) -> String {
    let limit = model.spec().page_size;
    format!("/api/scroll/{index}?offset={offset}&limit={limit}")
}

/// Pages with products.
pub(crate) fn page_count(model: &Model, index: u32, day: u32) -> u32 {
    let size = model.spec().page_size;
    let slots = model
        .universe(day)
        .saturating_sub(index)
        .div_ceil(LEAF_COUNT);
    match model.spec().site.paging {
        PagingMix::NextLink => slots.div_ceil(size),
        PagingMix::Mixed => {
            let listed = listed(model, index, day).count();
            u32::try_from(listed).unwrap_or(u32::MAX).div_ceil(size)
        }
    }
}

/// The slots of a category that lists of `day` show, in order.
fn listed(model: &Model, index: u32, day: u32) -> impl Iterator<Item = u32> + '_ {
    (index..model.universe(day))
        .step_by(LEAF_COUNT as usize)
        .filter(move |slot| {
            model.is_on_sale(*slot, day)
                && !matches!(model.place(*slot), Place::Orphan | Place::Related)
        })
}

/// The products of a page, counted from 1.
fn of_page(model: &Model, index: u32, number: u32, day: u32) -> Vec<ShopProduct> {
    let size = model.spec().page_size as usize;
    let skip = size * (number as usize - 1);
    let product = |slot| model.product(slot, day);
    match model.spec().site.paging {
        PagingMix::NextLink => (index..model.universe(day))
            .step_by(LEAF_COUNT as usize)
            .skip(skip)
            .take(size)
            .filter(|slot| !matches!(model.place(*slot), Place::Orphan | Place::Related))
            .filter_map(product)
            .collect(),
        PagingMix::Mixed => listed(model, index, day)
            .skip(skip)
            .take(size)
            .filter_map(product)
            .collect(),
    }
}

/// A category page, counted from 1; none where the category or the page does not exist.
pub(crate) fn category(
    model: &Model,
    paging: Paging,
    index: u32,
    number: u32,
    day: u32,
) -> Option<String> {
    let leaf = LEAVES.get(index as usize)?;
    if model.paging(index) != paging || number == 0 {
        return None;
    }
    let pages = page_count(model, index, day);
    if number > pages.max(1) && paging != Paging::UntilEmpty {
        return None;
    }
    let mut head = String::new();
    let mut body = format!("<h1>{}</h1>\n", escaped(leaf.path[2]));
    if paging == Paging::Numbered {
        // Every other link of this page is relative to it.
        push(
            &mut head,
            format_args!("<base href=\"{}/\">\n", escaped(model.base_url())),
        );
    }
    if model.spec().site.paging == PagingMix::Mixed {
        let path = category_path(paging, index);
        let joint = if path.contains('?') { '&' } else { '?' };
        push(
            &mut body,
            format_args!("<a href=\"{path}{joint}sort=price\">낮은 가격순</a>\n"),
        );
    }
    let products = if number > pages {
        Vec::new()
    } else {
        of_page(model, index, number, day)
    };
    list(model, paging, &products, &mut body);
    navigation(model, paging, [index, number, pages], &mut head, &mut body);
    let wording = Wording::right(model.spec().page_charset);
    Some(page_worded(model, wording, leaf.path[2], &head, &body))
}

fn list(model: &Model, paging: Paging, products: &[ShopProduct], body: &mut String) {
    if products.is_empty() {
        body.push_str("<p class=\"none\">상품이 없습니다.</p>\n");
    }
    body.push_str("<ul class=\"products\">\n");
    for product in products {
        let link = model.spelled(product.slot, LinkFrom::Category);
        // Spelled in upper case it stays absolute.
        let href = match link.strip_prefix(model.base_url()) {
            Some(path) if paging == Paging::Numbered => path.trim_start_matches('/'),
            Some(path) => path,
            None => &link,
        };
        push(
            body,
            format_args!(
                "<li><a href=\"{}\"><img src=\"{}\" alt=\"\">{}</a> <b>{}</b></li>\n",
                escaped(href),
                escaped(&product.image_link),
                escaped(&product.title),
                super::product_page::price(product),
            ),
        );
    }
    body.push_str("</ul>\n");
}

fn navigation(
    model: &Model,
    paging: Paging,
    [index, number, pages]: [u32; 3],
    head: &mut String,
    body: &mut String,
) {
    body.push_str("<nav>");
    match paging {
        Paging::NextLink => {
            let mut link = |rel: &str, to: u32, word: &str| {
                let href = match to {
                    1 => format!("/category/{index}"),
                    _ => format!("/category/{index}?page={to}"),
                };
                push(head, format_args!("<link rel=\"{rel}\" href=\"{href}\">\n"));
                push(
                    body,
                    format_args!("<a rel=\"{rel}\" href=\"{href}\">{word}</a> "),
                );
            };
            if number > 1 {
                link("prev", number - 1, "이전");
            }
            if number < pages {
                link("next", number + 1, "다음");
            }
        }
        Paging::Numbered => {
            let from = number.saturating_sub(NUMBERS_BESIDE).max(1);
            for to in from..=(number + NUMBERS_BESIDE).min(pages) {
                if to == number {
                    push(body, format_args!("<strong>{to}</strong> "));
                } else {
                    push(
                        body,
                        format_args!("<a class=\"page\" href=\"shelf/{index}?p={to}\">{to}</a> "),
                    );
                }
            }
        }
        Paging::Json => {
            let first = scroll_path(model, index, model.spec().page_size);
            push(
                body,
                format_args!(
                    "<div class=\"more\" data-next=\"{}\"></div>",
                    escaped(&first)
                ),
            );
        }
        Paging::UntilEmpty | Paging::UntilNotFound => {}
    }
    body.push_str("</nav>\n");
}

/// The answer of an infinite scroll's endpoint.
pub(crate) fn scroll_json(
    model: &Model,
    index: u32,
    offset: u32,
    limit: u32,
    day: u32,
) -> Option<String> {
    if index >= LEAF_COUNT || model.paging(index) != Paging::Json || limit == 0 {
        return None;
    }
    let slots: Vec<u32> = listed(model, index, day).collect();
    let limit = limit.min(model.spec().page_size);
    let shown = slots.iter().skip(offset as usize).take(limit as usize);
    let mut out = String::from("{\"items\":[");
    for (n, product) in shown
        .filter_map(|slot| model.product(*slot, day))
        .enumerate()
    {
        let mut price = String::new();
        push_amount(&mut price, product.price_minor, product.currency);
        let link = model.spelled(product.slot, LinkFrom::Category);
        let href = link.strip_prefix(model.base_url()).unwrap_or(&link);
        push(
            &mut out,
            format_args!(
                "{}{{\"id\":{},\"url\":{},\"name\":{},\"price\":{price}}}",
                if n > 0 { "," } else { "" },
                json_string(&product.id),
                json_string(href),
                json_string(&product.title),
            ),
        );
    }
    let end = offset.saturating_add(limit);
    let next = if (end as usize) < slots.len() {
        json_string(&scroll_path(model, index, end))
    } else {
        "null".to_owned()
    };
    push(
        &mut out,
        format_args!("],\"total\":{},\"next\":{next}}}", slots.len()),
    );
    Some(out)
}
