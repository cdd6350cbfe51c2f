//! Pages: which path shows what, in which bytes, with which validators, cookies and redirects.

use std::io::{self, Write as _};

use bytes::Bytes;
use hyper::{StatusCode, header};

use super::State;
use super::answer::{Answer, Ask, Version, accepts};
use crate::address::{decoded, push_encoded};
use crate::body::Source;
use crate::model::Wording;
use crate::number::mix;
use crate::site::{self, TrapPage};
use crate::site_spec::{CodingMix, Paging, ProductPaths, Trap};

/// Pieces of a dripping trap, as slow links and slow lorises send them.
const DRIP_PIECE_BYTES: usize = 16;
/// Fast: pages are packed for every request.
const GZIP_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 1;
const BROTLI_QUALITY: u32 = 1;
const BROTLI_WINDOW_BITS: u32 = 18;

impl State {
    pub(super) async fn page(&self, ask: &Ask<'_>, day: u32) -> io::Result<Answer> {
        let path = ask.path;
        if let Some(id) = path.strip_prefix("/old/") {
            return Ok(Answer::redirect(
                StatusCode::MOVED_PERMANENTLY,
                &format!("/moved/{id}?from=old"),
            ));
        }
        if let Some(id) = path.strip_prefix("/moved/") {
            return Ok(self.moved(id));
        }
        if path == "/enter" {
            return Ok(self.enter(ask));
        }
        if let Some(answer) = self.listing(ask, day) {
            return answer;
        }
        let html = match path {
            "/" => return self.home(ask, day),
            "/login" => Some(site::login(&self.model)),
            _ => match path.strip_prefix("/notice/") {
                Some(number) => number
                    .parse()
                    .ok()
                    .and_then(|number| site::notice(&self.model, number)),
                None => return self.product(ask, day),
            },
        };
        let Some(html) = html else {
            return Ok(Answer::not_found());
        };
        let version = self.version(&[6, text_hash(path)], 0);
        self.versioned(ask, &version, || html)
    }

    fn version(&self, parts: &[u64], day: u32) -> Version {
        Version {
            tag: self.tag(parts),
            modified: self.model.published(day),
            told: self.model.spec().validators.pages,
        }
    }

    /// A page in the shop's own charset, or 304.
    fn versioned(
        &self,
        ask: &Ask<'_>,
        version: &Version,
        html: impl FnOnce() -> String,
    ) -> io::Result<Answer> {
        let wording = Wording::right(self.model.spec().page_charset);
        let mut answer = match version.unchanged(ask) {
            Some(answer) => answer,
            None => self.worded(ask, &html(), wording)?,
        };
        version.mark(&mut answer);
        Ok(answer)
    }

    fn home(&self, ask: &Ask<'_>, day: u32) -> io::Result<Answer> {
        let content_day = self.model.content_day(day);
        let version = self.version(&[4, u64::from(content_day)], content_day);
        let mut answer = self.versioned(ask, &version, || site::home(&self.model, day))?;
        if self.model.spec().site.walled_share > 0.0 {
            answer.set(header::SET_COOKIE, &self.cookie());
            // Another host's cookie, which nobody may keep (RFC 6265, 5.3).
            answer.add(
                header::SET_COOKIE,
                "foreign=1; Domain=other.example; Path=/",
            );
        }
        Ok(answer)
    }

    /// The cookie without which walled pages are not shown.
    fn cookie(&self) -> String {
        format!("visit={}; Path=/; HttpOnly", self.pass())
    }

    fn pass(&self) -> String {
        format!("{:016x}", mix(self.model.spec().seed, 0xC00C))
    }

    fn has_pass(&self, ask: &Ask<'_>) -> bool {
        let pass = self.pass();
        ask.headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .any(|one| one.trim().strip_prefix("visit=") == Some(&pass))
    }

    /// Sets the cookie and sends back to where the visitor came from, on this host alone.
    fn enter(&self, ask: &Ask<'_>) -> Answer {
        let to = ask.query.and_then(|query| query.strip_prefix("to="));
        let to = decoded(to.unwrap_or("/"));
        let local = to.starts_with('/') && !to.starts_with("//");
        let to = if local { ascii(&to) } else { "/".to_owned() };
        let mut answer = Answer::redirect(StatusCode::SEE_OTHER, &to);
        answer.set(header::SET_COOKIE, &self.cookie());
        answer
    }

    fn moved(&self, id: &str) -> Answer {
        let Some(slot) = self.model.slot_of(id) else {
            return Answer::not_found();
        };
        let mut path = String::new();
        self.model.push_product_path(&mut path, slot);
        let (status, location) = match slot % 3 {
            0 => (StatusCode::FOUND, path),
            1 => (
                StatusCode::PERMANENT_REDIRECT,
                format!("{}{path}", self.model.base_url()),
            ),
            _ => (StatusCode::TEMPORARY_REDIRECT, format!("..{path}")),
        };
        Answer::redirect(status, &location)
    }

    fn product(&self, ask: &Ask<'_>, day: u32) -> io::Result<Answer> {
        let model = &self.model;
        let found = match ask.path.strip_prefix("/m/product/") {
            Some(id) => model.slot_of(id).map(|slot| (slot, true)),
            None => model.slot_of_path(ask.path, ask.query),
        };
        let Some((slot, is_canonical)) = found else {
            return Ok(Answer::not_found());
        };
        let Some(page_day) = model.page_day(slot, day) else {
            return Ok(Answer::not_found());
        };
        let mixed = model.spec().site.paths == ProductPaths::Mixed;
        if !is_canonical && mixed {
            let mut path = String::new();
            model.push_product_path(&mut path, slot);
            return Ok(Answer::redirect(StatusCode::MOVED_PERMANENTLY, &path));
        }
        if !is_canonical {
            return Ok(Answer::not_found());
        }
        if model.is_walled(slot) && !self.has_pass(ask) {
            let mut to = String::from("/enter?to=");
            let mut path = String::new();
            model.push_product_path(&mut path, slot);
            push_encoded(&mut to, &path);
            return Ok(Answer::redirect(StatusCode::FOUND, &to));
        }
        let version = self.version(&[3, u64::from(slot), u64::from(page_day)], page_day);
        let Some(product) = model.product(slot, day) else {
            return self.gone(ask, slot);
        };
        let mut answer = match version.unchanged(ask) {
            Some(answer) => answer,
            None => self.worded(ask, &site::product(model, &product), model.wording(slot))?,
        };
        version.mark(&mut answer);
        Ok(answer)
    }

    fn gone(&self, ask: &Ask<'_>, slot: u32) -> io::Result<Answer> {
        let status = self.model.gone_status(slot);
        let html = site::gone(&self.model, slot);
        let mut answer = self.worded(ask, &html, self.model.wording(slot))?;
        answer.status = StatusCode::from_u16(status).map_err(io::Error::other)?;
        Ok(answer)
    }

    /// Category pages and the endpoint of infinite scrolls; none for other paths.
    fn listing(&self, ask: &Ask<'_>, day: u32) -> Option<io::Result<Answer>> {
        let model = &self.model;
        let content_day = model.content_day(day);
        let number = |name: &str, default: u32| -> u32 {
            let mut parameters = ask.query.unwrap_or("").split('&');
            parameters
                .find_map(|one| one.strip_prefix(name)?.strip_prefix('='))
                .map_or(default, |value| value.parse().unwrap_or(0))
        };
        if let Some(index) = ask.path.strip_prefix("/api/scroll/") {
            let index = index.parse().unwrap_or(u32::MAX);
            let limit = number("limit", model.spec().page_size);
            let json = site::scroll_json(model, index, number("offset", 0), limit, day);
            return Some(Ok(match json {
                Some(json) => Answer::new(
                    StatusCode::OK,
                    "application/json",
                    Source::Whole(json.into()),
                ),
                None => Answer::not_found(),
            }));
        }
        let (index, pagings, page) = [
            ("/category/", &[Paging::NextLink][..], "page"),
            (
                "/list/",
                &[Paging::UntilEmpty, Paging::UntilNotFound],
                "page",
            ),
            ("/shelf/", &[Paging::Numbered], "p"),
            ("/scroll/", &[Paging::Json], "page"),
        ]
        .into_iter()
        .find_map(|(prefix, pagings, page)| {
            Some((ask.path.strip_prefix(prefix)?, pagings, page))
        })?;
        let index: u32 = index.parse().unwrap_or(u32::MAX);
        let page = number(page, 1);
        let html = pagings
            .iter()
            .find_map(|paging| site::category(model, *paging, index, page, day));
        let Some(html) = html else {
            return Some(Ok(Answer::not_found()));
        };
        let parts = [2, u64::from(index), u64::from(page), u64::from(content_day)];
        let version = self.version(&parts, content_day);
        Some(self.versioned(ask, &version, || html))
    }

    /// What a trap's address does; none where it is none.
    pub(super) async fn trap(&self, ask: &Ask<'_>, day: u32) -> io::Result<Answer> {
        let count = self.next_count();
        let act = match site::trap_page(&self.model, ask.path, ask.query, count, day) {
            TrapPage::Html(html) => return Ok(self.html(&html)),
            TrapPage::None => return Ok(Answer::not_found()),
            TrapPage::Act(trap) => trap,
        };
        let stream = |length: u64| {
            let (feed, pieces) = Source::channel();
            self.tasks.spawn(Source::filler(length, feed));
            let source = Source::Stream("<html><body>".as_bytes().into(), pieces);
            Answer::new(StatusCode::OK, "text/html; charset=utf-8", source)
        };
        Ok(match act {
            Trap::Huge { bytes } => stream(bytes),
            Trap::Endless => stream(u64::MAX),
            Trap::Bomb {
                coding,
                decoded_bytes,
            } => {
                let source = Source::Whole(self.bomb(coding, decoded_bytes).await?);
                let mut answer = Answer::new(StatusCode::OK, "text/html; charset=utf-8", source);
                answer.set(header::CONTENT_ENCODING, coding.token());
                answer
            }
            Trap::RedirectLoop => {
                Answer::redirect(StatusCode::FOUND, &format!("{}?hop={count}", ask.path))
            }
            Trap::RedirectTo(address) => Answer::redirect(StatusCode::FOUND, &address),
            Trap::Drip { every } => {
                let mut answer = self.html(&site::home(&self.model, day));
                let (feed, pieces) = Source::channel();
                let source = std::mem::replace(&mut answer.source, Source::empty());
                self.tasks.spawn(source.drip(DRIP_PIECE_BYTES, every, feed));
                answer.source = Source::Stream(Default::default(), pieces);
                answer
            }
            // The others are pages.
            _ => Answer::not_found(),
        })
    }

    pub(super) fn html(&self, text: &str) -> Answer {
        plain(text, Wording::right(self.model.spec().page_charset))
    }

    /// A page in some charset, packed where the shop packs and the request accepts it.
    fn worded(&self, ask: &Ask<'_>, text: &str, wording: Wording) -> io::Result<Answer> {
        let mut answer = plain(text, wording);
        if self.model.spec().site.codings == CodingMix::None {
            return Ok(answer);
        }
        let codings = ["", "gzip", "", "br", "", "zstd", "", "deflate"];
        let coding = codings[(text_hash(ask.path) % 8) as usize];
        if let Source::Whole(bytes) = &answer.source
            && !coding.is_empty()
            && accepts(ask.headers, coding)
        {
            let packed = pack(coding, bytes)?;
            answer.source = Source::Whole(packed.into());
            answer.set(header::CONTENT_ENCODING, coding);
        }
        answer.set(header::VARY, "Accept-Encoding");
        Ok(answer)
    }
}

fn plain(text: &str, wording: Wording) -> Answer {
    let bytes = Bytes::from(site::worded_bytes(text, wording));
    let content_type = match wording.header {
        Some(label) => format!("text/html; charset={label}"),
        None => "text/html".to_owned(),
    };
    Answer::new(StatusCode::OK, &content_type, Source::Whole(bytes))
}

fn pack(coding: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let level = flate2::Compression::new(GZIP_LEVEL);
    match coding {
        "gzip" => {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), level);
            packer.write_all(bytes)?;
            packer.finish()
        }
        // What HTTP calls deflate is a zlib stream (RFC 9110, 8.4.1.2).
        "deflate" => {
            let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), level);
            packer.write_all(bytes)?;
            packer.finish()
        }
        "zstd" => zstd::encode_all(bytes, ZSTD_LEVEL),
        _ => {
            let mut packer = brotli::CompressorWriter::new(
                Vec::new(),
                bytes.len().max(1),
                BROTLI_QUALITY,
                BROTLI_WINDOW_BITS,
            );
            packer.write_all(bytes)?;
            Ok(packer.into_inner())
        }
    }
}

/// A path as a header can carry it.
fn ascii(path: &str) -> String {
    let mut out = String::new();
    for c in path.chars() {
        if c.is_ascii_graphic() {
            out.push(c);
        } else {
            push_encoded(&mut out, c.encode_utf8(&mut [0; 4]));
        }
    }
    out
}

fn text_hash(text: &str) -> u64 {
    text.bytes().map(u64::from).fold(0, mix)
}
