//! What a path has besides the page: session ids, and by rule the slash at its
//! end, the name of an index and upper case.

use trawler_core::site::TrailingSlash;

/// Parameters of a path segment that carry a session (Java, PHP, Cold Fusion).
const SESSION_PARAMETERS: &[&str] = &[
    "jsessionid",
    "phpsessid",
    "sessionid",
    "sid",
    "cfid",
    "cftoken",
];

/// Applies the rules to the path that `out` ends with, from `path_at` on. Its
/// percent-encoding is canonical already.
pub(super) fn apply(rules: &super::CanonicalRules, out: &mut String, path_at: usize) {
    if rules.lower_case_path {
        lower_case(out, path_at);
    }
    let path = &out[path_at..];
    if path.contains(';') {
        replace(out, path_at, without_parameters);
    }
    if out[path_at..].contains('(') {
        replace(out, path_at, without_sessions);
    }
    ends(rules, out, path_at);
}

fn replace(out: &mut String, path_at: usize, with: impl FnOnce(&str) -> Option<String>) {
    if let Some(path) = with(&out[path_at..]) {
        out.truncate(path_at);
        out.push_str(&path);
    }
}

/// The hexadecimal digits behind a `%` stay as they are.
fn lower_case(out: &mut String, path_at: usize) {
    if !out[path_at..].bytes().any(|byte| byte.is_ascii_uppercase()) {
        return;
    }
    let mut digits = 0;
    let lower: String = out[path_at..]
        .chars()
        .map(|c| match c {
            '%' => {
                digits = 2;
                c
            }
            _ if digits > 0 => {
                digits -= 1;
                c
            }
            _ => c.to_ascii_lowercase(),
        })
        .collect();
    out.truncate(path_at);
    out.push_str(&lower);
}

/// `/a;jsessionid=1/b` without the parameter.
fn without_parameters(path: &str) -> Option<String> {
    let is_session = |parameter: &&str| {
        let name = parameter.split('=').next().unwrap_or_default();
        SESSION_PARAMETERS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
    };
    let mut found = false;
    let segments: Vec<String> = path
        .split('/')
        .map(|segment| {
            let mut parts = segment.split(';');
            let name = parts.next().unwrap_or_default();
            // A dot left alone would mean a folder.
            if matches!(name, "." | "..") || !parts.clone().any(|part| is_session(&part)) {
                return segment.to_owned();
            }
            found = true;
            let kept = parts.filter(|part| !is_session(part));
            kept.fold(name.to_owned(), |kept, part| kept + ";" + part)
        })
        .collect();
    found.then(|| segments.join("/"))
}

/// `/(S(abc))/a` without the session that ASP.NET puts there.
fn without_sessions(path: &str) -> Option<String> {
    let is_session = |segment: &str| {
        let mut rest = match segment.strip_prefix('(').and_then(|s| s.strip_suffix(')')) {
            Some(inner) if !inner.is_empty() => inner,
            Some(_) | None => return false,
        };
        // One or several of `S(...)`, `A(...)`, `F(...)`, `X(...)`.
        while !rest.is_empty() {
            let value = rest
                .strip_prefix(['S', 'A', 'F', 'X', 's', 'a', 'f', 'x'])
                .and_then(|rest| rest.strip_prefix('('))
                .and_then(|rest| rest.split_once(')'));
            match value {
                Some((value, after)) if !value.is_empty() && !value.contains('(') => rest = after,
                Some(_) | None => return false,
            }
        }
        true
    };
    let mut found = false;
    let kept: Vec<&str> = path
        .split('/')
        .filter(|segment| {
            let session = is_session(segment);
            found |= session;
            !session
        })
        .collect();
    found.then(|| match kept.as_slice() {
        // The path was nothing else.
        [] | [_] => "/".to_owned(),
        _ => kept.join("/"),
    })
}

/// Slash and index, until nothing changes: behind a slash that goes there may
/// be an index, and before it a slash. Each step makes the path shorter.
fn ends(rules: &super::CanonicalRules, out: &mut String, path_at: usize) {
    let root = path_at + 1;
    loop {
        if rules.trailing_slash == TrailingSlash::Remove {
            while out.len() > root && out.ends_with('/') {
                out.pop();
            }
        }
        let name_at = out.rfind('/').map_or(root, |at| at + 1);
        let name = &out[name_at..];
        if name.is_empty() || !rules.index_names.iter().any(|index| index == name) {
            break;
        }
        out.truncate(name_at);
    }
    if rules.trailing_slash == TrailingSlash::Add {
        let name_at = out.rfind('/').map_or(root, |at| at + 1);
        let name = &out[name_at..];
        if !name.is_empty() && !name.contains('.') {
            out.push('/');
        }
    }
}
