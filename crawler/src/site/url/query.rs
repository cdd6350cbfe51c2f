//! Which parameters of a query make a difference, and their order.

use super::octets::Part;
use super::rules::CanonicalRules;

/// Parameters of advertisements, mailings and statistics. They say where a
/// visitor came from, and the page is the same. `*` for all that begin so.
#[rustfmt::skip]
pub(super) const TRACKERS: &[&str] = &[
    // Google, Microsoft, Yandex
    "utm_*", "gclid", "gclsrc", "gbraid", "wbraid", "dclid", "gad_source", "gad_campaignid",
    "srsltid", "_ga", "_gl", "_gid", "_gac", "msclkid", "yclid", "ysclid", "_openstat",
    // social networks
    "fbclid", "fb_action_ids", "fb_action_types", "fb_source", "fb_ref", "igshid", "igsh",
    "twclid", "ttclid", "li_fat_id", "epik", "rdt_cid", "sccid",
    // mailings and campaigns
    "mc_cid", "mc_eid", "mkt_tok", "_hsenc", "_hsmi", "__hstc", "__hssc", "__hsfp", "hsa_*",
    "vero_id", "vero_conv", "oly_anon_id", "oly_enc_id", "wickedid", "s_kwcid", "ef_id",
    "_kx", "ck_subscriber_id", "dm_i",
    // statistics
    "mtm_*", "pk_campaign", "pk_kwd", "pk_source", "pk_medium", "pk_content", "piwik_*",
    // affiliates
    "irclickid", "irgwc", "zanpid", "awc", "cjevent", "cjdata", "sscid", "rb_clickid", "tduid",
    // Naver
    "napm", "n_media", "n_query", "n_rank", "n_ad_group", "n_ad", "n_keyword_id", "n_keyword",
    "n_campaign_type", "n_match", "nv_ad", "n_ad_group_type", "n_mall_pid",
];

/// Parameters that carry a session.
#[rustfmt::skip]
pub(super) const SESSIONS: &[&str] = &[
    "phpsessid", "jsessionid", "sessionid", "session_id", "sessid", "aspsessionid*", "cfid",
    "cftoken", "zenid", "oscsid", "xtcsid", "osclass_sid",
];

/// `sid` may be anything short; of this length, letters and digits mixed, it is
/// a session.
const SID_BYTES_MIN: usize = 20;

/// Names of parameters, lower case.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    /// In order.
    whole: Vec<Box<str>>,
    prefixes: Vec<Box<str>>,
}

impl Names {
    pub(super) fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut this = Self::default();
        for name in names {
            // As they are spelt in a canonical URL.
            let mut spelt = String::new();
            let stem = name.strip_suffix('*');
            Part::Query.write(stem.unwrap_or(name), &mut spelt);
            spelt.make_ascii_lowercase();
            let list = match stem {
                Some(_) => &mut this.prefixes,
                None => &mut this.whole,
            };
            list.push(spelt.into());
        }
        this.whole.sort_unstable();
        this.whole.dedup();
        this
    }

    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.prefixes.is_empty()
    }

    fn has(&self, name: &str) -> bool {
        let name = name.as_bytes();
        let lower = || name.iter().map(u8::to_ascii_lowercase);
        let listed = self
            .whole
            .binary_search_by(|listed| listed.bytes().cmp(lower()));
        listed.is_ok()
            || self.prefixes.iter().any(|prefix| {
                name.get(..prefix.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
            })
    }
}

/// Room for the parameters of one query, used again.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    text: String,
    /// Start, end of the name, end.
    pieces: Vec<(u32, u32, u32)>,
}

impl Parameters {
    /// Appends what `query` comes to, with its `?`, if it comes to anything.
    pub(super) fn write(&mut self, rules: &CanonicalRules, query: &str, out: &mut String) {
        self.text.clear();
        self.pieces.clear();
        for piece in query.split('&').filter(|piece| !piece.is_empty()) {
            let start = self.text.len();
            Part::Query.write(piece, &mut self.text);
            let written = &self.text[start..];
            let name = written.find('=').unwrap_or(written.len());
            if rules.drops(
                &written[..name],
                written.get(name + 1..).unwrap_or_default(),
            ) {
                self.text.truncate(start);
                continue;
            }
            let at = |bytes: usize| u32::try_from(bytes).expect("a reference is bounded");
            let piece = (at(start), at(start + name), at(self.text.len()));
            self.pieces.push(piece);
        }
        if rules.sort_query {
            let (text, pieces) = (&self.text, &mut self.pieces);
            let name = |piece: &(u32, u32, u32)| &text[piece.0 as usize..piece.1 as usize];
            if !pieces.is_sorted_by_key(name) {
                pieces.sort_by(|one, other| name(one).cmp(name(other)));
            }
        }
        for (at, (start, _, end)) in self.pieces.iter().enumerate() {
            out.push(if at == 0 { '?' } else { '&' });
            out.push_str(&self.text[*start as usize..*end as usize]);
        }
    }
}

impl CanonicalRules {
    fn drops(&self, name: &str, value: &str) -> bool {
        if !self.keep_query.is_empty() {
            return !self.keep_query.has(name);
        }
        self.drop_query.has(name) || (self.drop_known && is_session_value(name, value))
    }
}

fn is_session_value(name: &str, value: &str) -> bool {
    name.eq_ignore_ascii_case("sid")
        && value.len() >= SID_BYTES_MIN
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && value.bytes().any(|byte| byte.is_ascii_digit())
        && value.bytes().any(|byte| byte.is_ascii_alphabetic())
}
