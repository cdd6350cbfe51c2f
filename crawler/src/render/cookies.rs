//! The cookies of the crawl in a browser: lent to it before a page, taken back
//! after it. Between pages the crawl's jar alone counts.

use chromiumoxide::browser::Browser;
use chromiumoxide::cdp::browser_protocol::browser::BrowserContextId;
use chromiumoxide::cdp::browser_protocol::network::{
    Cookie, CookieParam, CookieSameSite, TimeSinceEpoch,
};
use chromiumoxide::cdp::browser_protocol::storage::{
    ClearCookiesParams, GetCookiesParams, SetCookiesParams,
};
use chromiumoxide::error::CdpError;
use trawler_net::JarCookie;

use super::RenderError;
use super::session::Way;

/// Gives the context of a crawl the crawl's cookies and no others; they are
/// told.
pub(super) async fn lend(
    browser: &Browser,
    context: &BrowserContextId,
    way: &Way,
) -> Result<Vec<JarCookie>, RenderError> {
    let clear = ClearCookiesParams {
        browser_context_id: Some(context.clone()),
    };
    browser.execute(clear).await?;
    let Some(jar) = &way.cookies else {
        return Ok(Vec::new());
    };
    let lent = way.fetcher.lend_cookies(jar);
    if lent.is_empty() {
        return Ok(lent);
    }
    let set = |cookies| {
        let mut set = SetCookiesParams::new(cookies);
        set.browser_context_id = Some(context.clone());
        browser.execute(set)
    };
    let all: Vec<CookieParam> = lent.iter().map(param).collect();
    match set(all.clone()).await {
        Ok(_) => {}
        // One that the browser does not take is refused with all others.
        Err(CdpError::Chrome(_)) => {
            for one in all {
                match set(vec![one]).await {
                    Ok(_) | Err(CdpError::Chrome(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Err(error) => return Err(error.into()),
    }
    Ok(lent)
}

/// Takes in what a page and its requests have set and removed.
pub(super) async fn take_back(
    browser: &Browser,
    context: &BrowserContextId,
    way: &Way,
    lent: &[JarCookie],
) -> Result<(), RenderError> {
    let Some(jar) = &way.cookies else {
        return Ok(());
    };
    let get = GetCookiesParams {
        browser_context_id: Some(context.clone()),
    };
    let back = browser.execute(get).await?;
    // Those of one site within another are not for other pages.
    let back = back.result.cookies.iter();
    let back = back.filter(|cookie| cookie.partition_key.is_none());
    let back: Vec<JarCookie> = back.map(cookie).collect();
    way.fetcher.take_cookies_back(jar, lent, &back);
    Ok(())
}

fn param(cookie: &JarCookie) -> CookieParam {
    let mut param = CookieParam::new(cookie.name.clone(), cookie.value.clone());
    let scheme = match cookie.secure {
        true => "https",
        false => "http",
    };
    param.url = Some(format!("{scheme}://{}/", cookie.domain));
    param.domain = (!cookie.host_only).then(|| cookie.domain.clone());
    param.path = Some(cookie.path.clone());
    param.secure = Some(cookie.secure);
    // To whom else a page's requests may take it is not known any more; there
    // is nobody here whom that could harm.
    param.same_site = cookie.secure.then_some(CookieSameSite::None);
    param.expires = cookie.expires.map(|at| TimeSinceEpoch::new(at as f64));
    param
}

fn cookie(cookie: &Cookie) -> JarCookie {
    let domain = cookie.domain.strip_prefix('.');
    JarCookie {
        name: cookie.name.clone(),
        value: cookie.value.clone(),
        domain: domain.unwrap_or(&cookie.domain).to_owned(),
        host_only: domain.is_none(),
        path: cookie.path.clone(),
        secure: cookie.secure,
        expires: (!cookie.session).then_some(cookie.expires as i64),
    }
}
