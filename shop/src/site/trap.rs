//! Traps: pages that never end, cost too much or lead where nobody should go.

use chrono::{Days, NaiveDate};

use super::{page, push};
use crate::markup::escaped;
use crate::model::{LinkFrom, Model};
use crate::number::mix;
use crate::site_spec::Trap;

/// True products that each of the endless pages lists.
const PRODUCTS_SHOWN: u32 = 3;
/// Days that a calendar's page links to.
const DAYS_SHOWN: u64 = 30;
/// The first day of the calendar.
const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(2026, 3, 2).expect("that day exists");

/// What the address of a trap shows.
pub(crate) enum TrapPage {
    Html(String),
    /// Carried out by `route`, which knows of connections.
    Act(Trap),
    None,
}

/// The first address of a trap.
pub(crate) fn trap_path(number: usize) -> String {
    format!("/trap/{number}/0")
}

/// The page of a path such as `/trap/3/17`; `count` differs from request to request.
pub(crate) fn trap_page(
    model: &Model,
    path: &str,
    query: Option<&str>,
    count: u64,
    day: u32,
) -> TrapPage {
    let Some((number, rest)) = path
        .strip_prefix("/trap/")
        .and_then(|rest| rest.split_once('/'))
    else {
        return TrapPage::None;
    };
    let traps = &model.spec().site.traps;
    let Some(trap) = number.parse().ok().and_then(|n: usize| traps.get(n)) else {
        return TrapPage::None;
    };
    let step: u64 = rest
        .split('/')
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    TrapPage::Html(match trap {
        Trap::EndlessPages => endless(model, number, step, day),
        Trap::EndlessCategory => fresh_links(model, number, page_of(query)),
        Trap::RepeatingCategory => same_products(model, page_of(query), day),
        Trap::Calendar => calendar(model, number, step, count),
        Trap::LinkFarm { links } => farm(model, number, step, *links),
        Trap::DeepNesting { levels } => {
            let levels = *levels as usize;
            let body = format!("{}deep{}", "<div>".repeat(levels), "</div>".repeat(levels));
            page(model, "이벤트", "", &body)
        }
        Trap::Links(addresses) => {
            let mut body = String::new();
            for address in addresses {
                let href = escaped(address);
                push(&mut body, format_args!("<a href=\"{href}\">{href}</a>\n"));
            }
            page(model, "이벤트", "", &body)
        }
        other => return TrapPage::Act(other.clone()),
    })
}

fn endless(model: &Model, number: &str, step: u64, day: u32) -> String {
    let next = step.saturating_add(1);
    let head = format!("<link rel=\"next\" href=\"/trap/{number}/{next}\">\n");
    let mut body = true_products(model, step, day);
    push(
        &mut body,
        format_args!("<a rel=\"next\" href=\"/trap/{number}/{next}\">다음</a>\n"),
    );
    page(model, "이벤트", &head, &body)
}

fn true_products(model: &Model, step: u64, day: u32) -> String {
    let mut body = format!("<h1>{step}</h1>\n<ul class=\"products\">\n");
    let slots = model.universe(day).min(PRODUCTS_SHOWN);
    for slot in 0..slots {
        let link = escaped(&model.spelled(slot, LinkFrom::Category));
        push(
            &mut body,
            format_args!("<li><a href=\"{link}\">-</a></li>\n"),
        );
    }
    body.push_str("</ul>\n");
    body
}

/// The number of a category's page.
fn page_of(query: Option<&str>) -> u64 {
    let mut parameters = query.unwrap_or_default().split('&');
    let page = parameters.find_map(|one| one.strip_prefix("page="));
    page.and_then(|page| page.parse().ok()).unwrap_or(1)
}

fn fresh_links(model: &Model, number: &str, at: u64) -> String {
    let mut body = format!("<h1>{at}</h1>\n<ul class=\"products\">\n");
    for n in 0..u64::from(PRODUCTS_SHOWN) {
        // What they lead to sells nothing; steps of pages never meet.
        let to = at.saturating_mul(u64::from(PRODUCTS_SHOWN)) + n;
        push(
            &mut body,
            format_args!("<li><a href=\"/trap/{number}/{to}\">-</a></li>\n"),
        );
    }
    body.push_str("</ul>\n");
    page(model, "이벤트", "", &body)
}

fn same_products(model: &Model, at: u64, day: u32) -> String {
    page(model, "이벤트", "", &true_products(model, at, day))
}

fn calendar(model: &Model, number: &str, step: u64, count: u64) -> String {
    let mut body = String::from("<table>\n");
    for ahead in 1..=DAYS_SHOWN {
        let to = step.saturating_add(ahead);
        let date = FIRST_DAY.checked_add_days(Days::new(to % 1_000_000));
        let date = date.map(|date| date.to_string()).unwrap_or_default();
        // Fresh on every page, as session ids are.
        let token = mix(count, ahead);
        push(
            &mut body,
            format_args!(
                "<td><a href=\"/trap/{number}/{to}/{date}?s={token:x}\">{date}</a></td>\n"
            ),
        );
    }
    body.push_str("</table>\n");
    page(model, "일정", "", &body)
}

fn farm(model: &Model, number: &str, step: u64, links: u32) -> String {
    let mut body = String::new();
    for n in 0..links {
        let to = mix(step, u64::from(n)) >> 16;
        push(
            &mut body,
            format_args!("<a href=\"/trap/{number}/{to}\">{n}</a>\n"),
        );
    }
    page(model, "이벤트", "", &body)
}
