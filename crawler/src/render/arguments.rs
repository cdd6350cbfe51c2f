//! What Chromium is started with, and what it is told of every page: pure.
//!
//! Of several walls each would do: whatever the browser still does by itself,
//! it knows no way to the network but the tunnel (its proxy without exception,
//! and no name that it could resolve), and no page may start what would not
//! show in its requests (workers, frames, sockets). Switches are those of
//! Chromium's `chrome_switches.cc`, `content_switches.cc` and
//! `network_switches.cc`; directives are those of Content Security Policy 3.

use std::ffi::OsString;
use std::path::Path;

/// Where a browser goes before a crawl has given it a tunnel: nowhere. The
/// discard port, where nothing listens.
const NOWHERE: &str = "http://127.0.0.1:9";

/// Parts of Chromium that speak to hosts that no page names, or ask for pages
/// ahead of anybody wanting them.
const FEATURES_OFF: &[&str] = &[
    "AutofillServerCommunication",
    "CertificateTransparencyComponentUpdater",
    "DialMediaRouteProvider",
    "InterestFeedContentSuggestions",
    "MediaRouter",
    "OptimizationHints",
    "Prerender2",
    "PrefetchProxy",
    "SpeculationRulesPrefetchFuture",
    "Translate",
    "WebTransport",
    // The browser's own windows are pages too, which nobody sees here.
    "InitialWebUI",
    "OmniboxAimPopup",
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxFullPopup",
    "WebUIOmniboxPopup",
    "WebUIOmniboxSimplification",
    "WebUIToolbar",
];

/// Arguments of every browser.
pub(super) fn arguments(profile: &Path, user_agent: &str, is_root: bool) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = [
        "--headless=new",
        "--remote-debugging-address=127.0.0.1",
        "--remote-debugging-port=0",
        // The way to the network: none of its own.
        "--proxy-bypass-list=<-loopback>",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        "--dns-prefetch-disable",
        "--disable-quic",
        "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
        "--webrtc-ip-handling-policy=disable_non_proxied_udp",
        // Nothing that nobody asked for.
        "--disable-background-networking",
        "--disable-breakpad",
        "--disable-client-side-phishing-detection",
        "--disable-component-extensions-with-background-pages",
        "--disable-component-update",
        "--disable-crash-reporter",
        "--disable-default-apps",
        "--disable-domain-reliability",
        "--disable-extensions",
        "--disable-sync",
        "--metrics-recording-only",
        "--no-default-browser-check",
        "--no-first-run",
        "--no-pings",
        "--no-service-autorun",
        // Nobody is there to be asked, and nothing to be shown.
        "--deny-permission-prompts",
        "--disable-gpu",
        "--disable-notifications",
        "--disable-speech-api",
        "--hide-scrollbars",
        "--mute-audio",
        "--password-store=basic",
        "--use-mock-keychain",
        // One page at a time, which is never in the background.
        "--disable-backgrounding-occluded-windows",
        "--disable-renderer-backgrounding",
        "--disable-background-timer-throttling",
        // Shared memory of containers is often 64 MiB.
        "--disable-dev-shm-usage",
        "--js-flags=--max-old-space-size=512",
    ]
    .iter()
    .map(OsString::from)
    .collect();
    arguments.push(format!("--proxy-server={NOWHERE}").into());
    arguments.push(format!("--disable-features={}", FEATURES_OFF.join(",")).into());
    arguments.push(format!("--user-agent={user_agent}").into());
    let mut folder = OsString::from("--user-data-dir=");
    folder.push(profile);
    arguments.push(folder);
    if is_root {
        // Chromium does not start otherwise.
        arguments.push("--no-sandbox".into());
    }
    arguments.push("about:blank".into());
    arguments
}

/// The policy that a page is given besides its own. The browser holds it for
/// the page and all that it makes; a page can only make it stricter.
pub(super) const CONTENT_POLICY: &str = "worker-src 'none'; frame-src 'none'; \
    object-src 'none'; media-src 'none'; font-src 'none'; manifest-src 'none'; \
    connect-src http: https: data: blob:; webrtc 'block'; \
    sandbox allow-scripts allow-same-origin";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn texts(is_root: bool) -> Vec<String> {
        let all = arguments(Path::new("/p"), "Trawler/0.1 (+https://a.test)", is_root);
        all.into_iter().map(|a| a.into_string().unwrap()).collect()
    }

    #[test]
    fn there_is_no_way_to_the_network_but_the_proxy() {
        let all = texts(false);
        for needed in [
            "--proxy-server=http://127.0.0.1:9",
            "--proxy-bypass-list=<-loopback>",
            "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
            "--disable-quic",
            "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
            "--disable-background-networking",
            "--user-agent=Trawler/0.1 (+https://a.test)",
            "--user-data-dir=/p",
        ] {
            assert!(all.iter().any(|one| one == needed), "{needed}");
        }
        assert_eq!(all.last().unwrap(), "about:blank");
    }

    #[test]
    fn the_sandbox_stays_on_but_for_root() {
        let check = |is_root: bool| {
            let without = texts(is_root).iter().any(|one| one == "--no-sandbox");
            assert_eq!(without, is_root);
        };
        check(false);
        check(true);
    }
}
