//! Dates as cookies write them: the lenient reading of RFC 6265bis, 5.1.1, which
//! is none of the formats of HTTP and takes nearly all that servers send.

/// Seconds since 1970, negative before; `None` when it is no date.
pub(super) fn read(text: &str) -> Option<i64> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(is_delimiter).filter(|token| !token.is_empty()) {
        if time.is_none()
            && let Some(found) = time_of_day(token)
        {
            time = Some(found);
        } else if day.is_none()
            && let Some(found) = digits(token, 1, 2)
        {
            day = Some(found);
        } else if month.is_none()
            && let Some(found) = month_of(token)
        {
            month = Some(found);
        } else if year.is_none()
            && let Some(found) = digits(token, 2, 4)
        {
            year = Some(match found {
                70..=99 => found + 1900,
                0..=69 => found + 2000,
                _ => found,
            });
        }
    }
    let (time, day, month, year) = (time?, day?, month?, year?);
    if !(1..=31).contains(&day) || year < 1601 {
        return None;
    }
    Some(days_since_1970(year, month, day) * 86_400 + time)
}

fn is_delimiter(c: char) -> bool {
    matches!(c, '\t' | ' '..='/' | ';'..='@' | '['..='`' | '{'..='~')
}

/// The number that a token begins with, of so many digits and no more.
fn digits(token: &str, least: usize, most: usize) -> Option<i64> {
    let count = token.bytes().take_while(u8::is_ascii_digit).count();
    if !(least..=most).contains(&count) {
        return None;
    }
    token[..count].parse().ok()
}

/// `h:m:s`, with anything but a digit behind it.
fn time_of_day(token: &str) -> Option<i64> {
    let mut parts = token.splitn(3, ':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = |part: &str| {
        let number = digits(part, 1, 2)?;
        part.bytes().all(|b| b.is_ascii_digit()).then_some(number)
    };
    let (hour, minute) = (whole(hour)?, whole(minute)?);
    let second = digits(second, 1, 2)?;
    let sound = hour <= 23 && minute <= 59 && second <= 59;
    sound.then_some(hour * 3600 + minute * 60 + second)
}

fn month_of(token: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let three = token.get(..3)?.to_ascii_lowercase();
    let index = MONTHS.iter().position(|month| *month == three)?;
    i64::try_from(index + 1).ok()
}

/// Days of the Gregorian calendar, counted in years that begin in March so that
/// the leap day is the last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_browsers_read_them() {
        let check = |text: &str, expected: Option<i64>| assert_eq!(read(text), expected, "{text}");
        let moment = Some(784_111_777);
        check("Sun, 06 Nov 1994 08:49:37 GMT", moment);
        check("Sunday, 06-Nov-94 08:49:37 GMT", moment);
        check("Sun Nov  6 08:49:37 1994", moment);
        check("Sun, 06-Nov-1994 08:49:37 GMT", moment);
        check("6 November 1994 8:49:37", moment);
        check("08:49:37 1994 nov 6", moment);
        check("Thu, 01 Jan 1970 00:00:00 GMT", Some(0));
        check("Thu, 01-Jan-70 00:00:01 GMT", Some(1));
        check("Sat, 29 Feb 2020 00:00:00 GMT", Some(1_582_934_400));
        check("Mon, 01 Mar 2100 00:00:00 GMT", Some(4_107_542_400));
        check("Fri, 31 Dec 9999 23:59:59 GMT", Some(253_402_300_799));
        check("Mon, 01 Jan 1601 00:00:00 GMT", Some(-11_644_473_600));
        check("Sun, 06 Nov 1994 24:00:00 GMT", None);
        check("Sun, 06 Nov 1994", None);
        check("06 Nov 08:49:37", None);
        check("Sun, 32 Nov 1994 08:49:37 GMT", None);
        check("Sun, 06 Nov 1500 08:49:37 GMT", None);
        check("0", None);
        check("", None);
        check("\u{e9}\u{e9}\u{e9} 06 Nov 1994 08:49:37", moment);
    }
}
