//! Filler for product pages, so that they have the size of real ones: menus, reviews, scripts and
//! styles. It links nowhere new and has no prices.

use super::push;
use crate::number::mix;
use crate::vocabulary::{LEAVES, SENTENCES};

/// About `bytes` bytes of markup, cut at an element's end; the empty text for 0.
pub(crate) fn padding(seed: u64, bytes: u32) -> String {
    let wanted = bytes as usize;
    let mut out = String::with_capacity(wanted.saturating_add(1_024).min(wanted * 2));
    let mut n = 0_u64;
    while out.len() < wanted {
        let h = mix(seed, n);
        let sentence = SENTENCES[(h % SENTENCES.len() as u64) as usize];
        let leaf = &LEAVES[(h / 8 % LEAVES.len() as u64) as usize];
        match n % 5 {
            0 => push(
                &mut out,
                format_args!(
                    "<ul class=\"menu menu-{n}\"><li class=\"item\"><a href=\"/\" title=\"{0}\"><span>{0}</span></a></li>\
                     <li class=\"item\"><a href=\"/\"><em>{1}</em></a></li></ul>\n",
                    leaf.path[0], leaf.path[1]
                ),
            ),
            1 | 2 => push(
                &mut out,
                format_args!(
                    "<div class=\"review\" id=\"review-{n}\"><div class=\"stars\" data-stars=\"{}\"></div>\
                     <p>{sentence} &amp; {sentence}</p><span class=\"by\">a***{}</span></div>\n",
                    h % 5 + 1,
                    h % 100
                ),
            ),
            3 => push(
                &mut out,
                format_args!(
                    "<script>(function(){{var e=document.getElementById(\"review-{n}\");\
                     if(e&&{}<2){{e.className+=' seen';}}}})();</script>\n",
                    h % 3
                ),
            ),
            _ => push(
                &mut out,
                format_args!(
                    "<style>.review-{n} .by{{margin:0 {}px;color:#{:06x}}}</style>\n\
                     <table class=\"size\"><tr><th>S</th><td>{}</td></tr><tr><th>M</th><td>{}</td></tr></table>\n",
                    h % 9,
                    h >> 40,
                    h % 60 + 40,
                    h % 70 + 50
                ),
            ),
        }
        n += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_size_asked_for() {
        assert_eq!(padding(1, 0), "");
        let text = padding(1, 500_000);
        assert!((500_000..501_000).contains(&text.len()), "{}", text.len());
        assert_eq!(text, padding(1, 500_000));
    }
}
