//! How a link to the next page is called, and how a value is written into a
//! URL.

/// What such links say, in lower case and without white space around them.
/// Arrows alone are also on pictures that move; they count only within a
/// pagination (see `page`).
#[rustfmt::skip]
pub(super) const NEXT_WORDS: &[&str] = &[
    "next", "next page", "next »", "next >", "next ›", "next →", "older", "more products",
    "다음", "다음 페이지", "다음페이지", "다음 >", "次へ", "次のページ", "下一页", "下一頁",
    "weiter", "nächste", "nächste seite", "suivant", "suivante", "page suivante", "siguiente",
    "página siguiente", "avanti", "successivo", "successiva", "pagina successiva", "próximo",
    "próxima", "seguinte", "volgende", "volgende pagina", "næste", "nästa", "neste", "seuraava",
    "następna", "następny", "dalej", "další", "ďalej", "következő", "următoarea", "sonraki",
    "вперёд", "вперед", "следующая", "далее", "наступна",
];

/// Arrows that mean the next page within a pagination.
pub(super) const NEXT_ARROWS: &[&str] = &["›", "»", ">", "→", "❯", "▶", "⟩", ">>"];

/// A value as one piece of a path or query: everything but unreserved
/// characters encoded.
pub(super) fn encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
