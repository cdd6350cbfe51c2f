//! A partner: its products on every day of the season, and its feed of them.

use std::collections::BTreeMap;

use encoding_rs::EUC_KR;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::look::Told;

/// Products on the first day; shares of fewer than 100 are not judged.
const PRODUCTS: u32 = 200;

/// Words of titles, which a wrong charset would show.
const WORDS: [&str; 8] = [
    "도자기",
    "머그컵",
    "유리잔",
    "접시",
    "냄비",
    "주전자",
    "수저",
    "쟁반",
];

/// How a partner writes its feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writes {
    JsonLines,
    /// Naver EP in UTF-8.
    Ep,
    /// Naver EP as older shops write it.
    EpCp949,
}

impl Writes {
    pub(crate) fn table(self) -> &'static str {
        match self {
            Self::JsonLines => {
                "format = \"jsonl\"\nmode = \"full\"\ncurrency = \"KRW\"\ncolumns = { title = \"name\", link = \"url\", image_link = \"image\" }"
            }
            Self::Ep => "format = \"naver-ep\"\nmode = \"full\"\ncharset = \"utf-8\"",
            Self::EpCp949 => "format = \"naver-ep\"\nmode = \"full\"\ncharset = \"cp949\"",
        }
    }
}

/// What a shop sells, by id.
pub(crate) type Stock = BTreeMap<String, Told>;

pub(crate) struct Partner {
    pub(crate) id: String,
    pub(crate) writes: Writes,
    rng: SmallRng,
    next: u32,
    /// What it really sells today.
    pub(crate) stock: Stock,
    /// What it sold once.
    gone: Vec<(String, Told)>,
}

impl Partner {
    pub(crate) fn new(number: usize) -> Self {
        let writes = [Writes::JsonLines, Writes::Ep, Writes::EpCp949][number % 3];
        let mut partner = Self {
            id: format!("shop-{number:02}"),
            writes,
            rng: SmallRng::seed_from_u64(number as u64),
            next: 0,
            stock: Stock::new(),
            gone: Vec::new(),
        };
        for _ in 0..PRODUCTS {
            partner.list_new();
        }
        partner
    }

    fn list_new(&mut self) {
        let number = self.next;
        self.next += 1;
        let id = format!("{}-{number:05}", self.id);
        let word = WORDS[self.rng.random_range(0..WORDS.len())];
        let told = (
            format!("{word} {number}"),
            self.rng.random_range(10..1_000) * 100,
            format!("https://{}.example/p/{number}", self.id),
            format!("https://{}.example/i/{number}.jpg", self.id),
        );
        self.stock.insert(id, told);
    }

    fn any(&mut self) -> String {
        let at = self.rng.random_range(0..self.stock.len());
        self.stock.keys().nth(at).unwrap().clone()
    }

    fn delist(&mut self, id: String) {
        let told = self.stock.remove(&id).unwrap();
        self.gone.push((id, told));
    }

    /// An ordinary day: some are new, some gone, some cost another price.
    pub(crate) fn pass_day(&mut self) {
        for _ in 0..4 {
            let id = self.any();
            self.delist(id);
            self.list_new();
        }
        for _ in 0..20 {
            let id = self.any();
            let change = self.rng.random_range(90..=110);
            let price = &mut self.stock.get_mut(&id).unwrap().1;
            *price = *price * change / 100;
        }
    }

    /// Really stops selling this share of its products.
    pub(crate) fn clear_out(&mut self, share: f64) {
        let count = (self.stock.len() as f64 * share) as usize;
        for _ in 0..count {
            let id = self.any();
            self.delist(id);
        }
    }

    /// Sells again what it sold once; gives the ids.
    pub(crate) fn bring_back(&mut self, count: usize) -> Vec<String> {
        let back: Vec<_> = self.gone.drain(..count.min(self.gone.len())).collect();
        let ids = back.iter().map(|(id, _)| id.clone()).collect();
        self.stock.extend(back);
        ids
    }

    /// The feed of this stock.
    pub(crate) fn feed(&self, stock: &Stock) -> Vec<u8> {
        let text = match self.writes {
            Writes::JsonLines => json_lines(stock),
            Writes::Ep | Writes::EpCp949 => ep(stock, EP_COLUMNS),
        };
        self.encoded(&text)
    }

    pub(crate) fn encoded(&self, text: &str) -> Vec<u8> {
        match self.writes {
            Writes::JsonLines | Writes::Ep => text.as_bytes().to_vec(),
            Writes::EpCp949 => EUC_KR.encode(text).0.into_owned(),
        }
    }

    /// The feed with the names of two columns swapped.
    pub(crate) fn swapped(&self) -> Vec<u8> {
        let text = match self.writes {
            Writes::JsonLines => json_lines(&self.stock)
                .replace("\"name\":", "\"\":")
                .replace("\"url\":", "\"name\":")
                .replace("\"\":", "\"url\":"),
            Writes::Ep | Writes::EpCp949 => {
                let [id, title, price, rest @ ..] = EP_COLUMNS;
                let [link, image] = rest;
                ep(&self.stock, [id, price, title, link, image])
            }
        };
        self.encoded(&text)
    }

    /// The feed in another charset than it should be in.
    pub(crate) fn miscoded(&self) -> Vec<u8> {
        let text = match self.writes {
            Writes::JsonLines => json_lines(&self.stock),
            Writes::Ep | Writes::EpCp949 => ep(&self.stock, EP_COLUMNS),
        };
        match self.writes {
            Writes::JsonLines | Writes::Ep => EUC_KR.encode(&text).0.into_owned(),
            Writes::EpCp949 => text.into_bytes(),
        }
    }
}

const EP_COLUMNS: [&str; 5] = ["id", "title", "price_pc", "link", "image_link"];

fn ep(stock: &Stock, columns: [&str; 5]) -> String {
    let mut text = columns.join("\t") + "\n";
    for (id, (title, price, link, image)) in stock {
        text += &format!("{id}\t{title}\t{price}\t{link}\t{image}\n");
    }
    text
}

fn json_lines(stock: &Stock) -> String {
    let mut text = String::new();
    for (id, (title, price, link, image)) in stock {
        text += &format!(
            "{{\"id\":{id:?},\"name\":{title:?},\"price\":{price},\"url\":{link:?},\"image\":{image:?}}}\n"
        );
    }
    text
}
