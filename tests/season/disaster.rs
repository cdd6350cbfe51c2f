//! What partners serve when something went wrong, and what may be seen of it.

use crate::partner::{Partner, Stock, Writes};

/// A page as PHP writes it that has lost its database.
const ERROR_PAGE: &str = "<br />\n<b>Fatal error</b>:  Uncaught Exception: no database in <b>/srv/feed.php</b> on line <b>3</b><br />\n";

/// Rows at which the program of these shops stops.
pub(crate) const CAP: usize = 160;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Disaster {
    /// The file ends in the middle.
    HalfFeed,
    TenfoldPrices,
    EmptyTitles,
    ErrorPage,
    SwappedColumns,
    WrongCharset,
    /// The file has as many rows as the program that writes it can.
    CappedFile,
}

impl Disaster {
    pub(crate) const ALL: [Self; 7] = [
        Self::HalfFeed,
        Self::TenfoldPrices,
        Self::EmptyTitles,
        Self::ErrorPage,
        Self::SwappedColumns,
        Self::WrongCharset,
        Self::CappedFile,
    ];

    /// What is served instead of the feed.
    pub(crate) fn feed(self, partner: &Partner) -> Vec<u8> {
        let mut stock = partner.stock.clone();
        match self {
            Self::HalfFeed | Self::CappedFile => partner.feed(&self.listed(partner)),
            Self::TenfoldPrices => {
                stock.values_mut().for_each(|told| told.1 *= 10);
                partner.feed(&stock)
            }
            Self::EmptyTitles => {
                stock.values_mut().for_each(|told| told.0.clear());
                partner.feed(&stock)
            }
            Self::ErrorPage => ERROR_PAGE.as_bytes().to_vec(),
            Self::SwappedColumns => partner.swapped(),
            Self::WrongCharset => partner.miscoded(),
        }
    }

    /// Whether the feed is read as it was meant: a charset that nobody declared
    /// is recognised.
    pub(crate) fn is_seen_through(self, partner: &Partner) -> bool {
        self == Self::WrongCharset && partner.writes == Writes::JsonLines
    }

    /// Rows of the feed that are what the partner sells.
    pub(crate) fn listed(self, partner: &Partner) -> Stock {
        let stock = partner.stock.clone().into_iter();
        match self {
            Self::HalfFeed => {
                let half = partner.stock.len() / 2;
                stock.take(half).collect()
            }
            Self::CappedFile => stock.take(CAP).collect(),
            _ => Stock::new(),
        }
    }
}
