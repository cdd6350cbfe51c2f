//! The words products are made of: categories with the brands and nouns that go with them.
//!
//! Brands are invented, so that no real shop's data is imitated by accident. Every character can be
//! written in CP949, which a test holds.

/// A leaf of the shop's category tree.
pub(crate) struct Leaf {
    pub(crate) path: [&'static str; 3],
    pub(crate) naver: &'static str,
    pub(crate) google: &'static str,
    pub(crate) nouns: [&'static str; 4],
    pub(crate) trade: Trade,
}

/// What kind of goods a leaf holds: decides brands, sizes, price level and who it is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trade {
    Fashion,
    Electronics,
    Beauty,
    Food,
    Home,
    Sport,
    Kids,
}

impl Trade {
    /// `(brand, maker)`.
    pub(crate) fn brands(self) -> &'static [(&'static str, &'static str); 6] {
        match self {
            Trade::Fashion => &FASHION,
            Trade::Electronics => &ELECTRONICS,
            Trade::Beauty => &BEAUTY,
            Trade::Food => &FOOD,
            Trade::Home => &HOME,
            Trade::Sport => &SPORT,
            Trade::Kids => &KIDS,
        }
    }

    pub(crate) fn sizes(self) -> &'static [&'static str; 6] {
        match self {
            Trade::Fashion | Trade::Sport => &["S", "M", "L", "XL", "95", "100"],
            Trade::Electronics => &["", "", "256GB", "27\"", "14\"", "5.5kg"],
            Trade::Beauty => &["30ml", "50ml", "100ml", "150ml", "200g", "5매"],
            Trade::Food => &["500g", "1kg", "2kg", "5kg", "30개", "1.5L x 12"],
            Trade::Home => &["", "60x90cm", "Q", "SS", "2인용", "4인용"],
            Trade::Kids => &["90", "100", "110", "120", "3-5세", "6-8세"],
        }
    }

    /// Lowest price in won and the range above it.
    pub(crate) fn price_range_won(self) -> (u64, u64) {
        match self {
            Trade::Fashion => (9_900, 190_000),
            Trade::Electronics => (19_900, 1_900_000),
            Trade::Beauty => (4_900, 120_000),
            Trade::Food => (2_900, 70_000),
            Trade::Home => (7_900, 450_000),
            Trade::Sport => (8_900, 380_000),
            Trade::Kids => (5_900, 140_000),
        }
    }
}

macro_rules! leaf {
    ($trade:ident, $naver:literal, $google:literal, $a:literal > $b:literal > $c:literal, $n:expr) => {
        Leaf {
            path: [$a, $b, $c],
            naver: $naver,
            google: $google,
            nouns: $n,
            trade: Trade::$trade,
        }
    };
}

pub(crate) const LEAF_COUNT: u32 = LEAVES.len() as u32;

pub(crate) const LEAVES: [Leaf; 28] = [
    leaf!(Fashion, "50000807", "2271", "패션의류" > "여성의류" > "원피스", ["플리츠 롱 원피스", "린넨 셔츠 원피스", "니트 원피스", "Wrap Midi Dress"]),
    leaf!(Fashion, "50000803", "212", "패션의류" > "여성의류" > "티셔츠", ["오버핏 반팔 티셔츠", "크롭 티셔츠", "기본 라운드 티셔츠", "Rib Long Sleeve Tee"]),
    leaf!(Fashion, "50000830", "212", "패션의류" > "남성의류" > "셔츠/남방", ["옥스포드 셔츠", "체크 남방", "스트라이프 셔츠", "Button-Down Shirt"]),
    leaf!(Fashion, "50000836", "204", "패션의류" > "남성의류" > "바지", ["와이드 슬랙스", "데님 팬츠", "조거 팬츠", "Tapered Chino Pants"]),
    leaf!(Fashion, "50000645", "6551", "패션잡화" > "여성가방" > "숄더백", ["미니 숄더백", "소가죽 호보백", "퀼팅 체인백", "Canvas Shoulder Bag"]),
    leaf!(Fashion, "50000788", "187", "패션잡화" > "남성신발" > "스니커즈", ["가죽 스니커즈", "캔버스화", "런닝 스니커즈", "Low-Top Sneakers"]),
    leaf!(Electronics, "50000151", "328", "디지털/가전" > "노트북" > "노트북", ["게이밍 노트북", "초경량 노트북", "비즈니스 노트북", "Ultrabook 14"]),
    leaf!(Electronics, "50000153", "305", "디지털/가전" > "모니터" > "게이밍모니터", ["27\" QHD 모니터", "커브드 모니터", "휴대용 모니터", "4K UHD Monitor"]),
    leaf!(Electronics, "50000205", "267", "디지털/가전" > "휴대폰" > "자급제폰", ["자급제 스마트폰", "폴더블폰", "효도폰", "5G Smartphone"]),
    leaf!(Electronics, "50000259", "543626", "디지털/가전" > "음향가전" > "이어폰", ["노이즈캔슬링 이어폰", "무선 이어폰", "오픈형 이어폰", "True Wireless Earbuds"]),
    leaf!(Electronics, "50000212", "606", "디지털/가전" > "생활가전" > "공기청정기", ["공기청정기", "가습기 & 공기청정기", "차량용 공기청정기", "HEPA Air Purifier"]),
    leaf!(Electronics, "50000218", "619", "디지털/가전" > "생활가전" > "청소기", ["무선 청소기", "로봇청소기", "핸디 청소기", "Cordless Vacuum"]),
    leaf!(Beauty, "50000437", "2958", "화장품/미용" > "스킨케어" > "크림", ["수분 크림", "시카 크림", "나이트 크림", "Ceramide Cream"]),
    leaf!(Beauty, "50000438", "2958", "화장품/미용" > "스킨케어" > "에센스", ["비타민C 앰플", "히알루론산 에센스", "펩타이드 세럼", "Retinol Serum"]),
    leaf!(Beauty, "50000389", "2915", "화장품/미용" > "색조메이크업" > "립틴트", ["벨벳 립틴트", "글로우 립틴트", "매트 립스틱", "Water Lip Tint"]),
    leaf!(Beauty, "50000297", "2441", "화장품/미용" > "헤어케어" > "샴푸", ["탈모 완화 샴푸", "약산성 샴푸", "두피 샴푸", "Repair Shampoo"]),
    leaf!(Food, "50000159", "6570", "식품" > "농산물" > "쌀", ["신동진 쌀", "고시히카리 쌀", "현미", "Brown Rice"]),
    leaf!(Food, "50000160", "430", "식품" > "농산물" > "과일", ["제주 감귤", "부사 사과", "샤인머스캣", "Hallabong"]),
    leaf!(Food, "50000149", "1868", "식품" > "음료" > "커피", ["드립백 커피", "원두 커피", "콜드브루", "Whole Bean Coffee"]),
    leaf!(Food, "50000146", "433", "식품" > "과자/간식" > "견과류", ["하루견과", "구운 아몬드", "캐슈넛", "Mixed Nuts"]),
    leaf!(Home, "50000098", "569", "생활/건강" > "침구" > "이불", ["차렵이불", "구스 이불", "여름 인견 이불", "Washed Cotton Duvet"]),
    leaf!(Home, "50000099", "654", "생활/건강" > "주방용품" > "프라이팬", ["인덕션 프라이팬", "무쇠 팬", "계란말이 팬", "Ceramic Frying Pan"]),
    leaf!(Home, "50000100", "6358", "가구/인테리어" > "거실가구" > "소파", ["패브릭 소파", "리클라이너 소파", "1인용 소파", "Modular Sofa"]),
    leaf!(Home, "50000101", "4636", "가구/인테리어" > "조명" > "스탠드", ["LED 스탠드", "장스탠드", "무드등", "Desk Lamp"]),
    leaf!(Sport, "50000027", "1013", "스포츠/레저" > "캠핑" > "텐트", ["원터치 텐트", "백패킹 텐트", "타프 & 폴대 세트", "Dome Tent 4P"]),
    leaf!(Sport, "50000028", "990", "스포츠/레저" > "헬스" > "덤벨", ["조절식 덤벨", "케틀벨", "네오프렌 덤벨", "Hex Dumbbell"]),
    leaf!(Kids, "50000137", "5622", "출산/육아" > "유아동의류" > "상하복", ["아동 내의 세트", "유아 실내복", "아동 잠옷", "Kids Pajama Set"]),
    leaf!(Kids, "50000138", "1253", "출산/육아" > "완구" > "블록", ["원목 블록", "자석 블록", "소프트 블록", "Building Bricks 500pcs"]),
];

const FASHION: [(&str, &str); 6] = [
    ("모노루트", "모노루트어패럴"),
    ("Ellora", "엘로라"),
    ("데이앤무드", "무드컴퍼니"),
    ("NORTHLANE", "노스레인코리아"),
    ("소풍가는길", "소풍"),
    ("Briq & Co", "브릭앤코"),
];
const ELECTRONICS: [(&str, &str); 6] = [
    ("한빛전자", "한빛전자"),
    ("Voltera", "볼테라"),
    ("제나", "제나테크"),
    ("OMNIVA", "옴니바코리아"),
    ("누리텍", "누리텍"),
    ("Kestrel", "케스트럴"),
];
const BEAUTY: [(&str, &str); 6] = [
    ("닥터모아", "모아코스메틱"),
    ("Lumelle", "루멜"),
    ("초록연구소", "초록바이오"),
    ("SEORA", "서라화장품"),
    ("물빛", "물빛코스메틱"),
    ("Aurea", "오레아"),
];
const FOOD: [(&str, &str); 6] = [
    ("들녘", "들녘영농조합"),
    ("바른먹거리", "바른푸드"),
    ("Morning Farm", "모닝팜"),
    ("해오름", "해오름식품"),
    ("커피공방", "커피공방"),
    ("Nutty's", "너티스"),
];
const HOME: [(&str, &str); 6] = [
    ("포근", "포근침구"),
    ("HAUSE", "하우제"),
    ("나무결", "나무결가구"),
    ("Kitchen+", "키친플러스"),
    ("온집", "온집"),
    ("Lumo", "루모라이팅"),
];
const SPORT: [(&str, &str); 6] = [
    ("산들", "산들아웃도어"),
    ("RIDGE", "릿지코리아"),
    ("힘찬", "힘찬스포츠"),
    ("Peak & Pine", "피크앤파인"),
    ("오름", "오름기어"),
    ("Velo", "벨로"),
];
const KIDS: [(&str, &str); 6] = [
    ("꼬마별", "꼬마별"),
    ("Tiny Oak", "타이니오크"),
    ("아장아장", "아장"),
    ("Blocko", "블로코"),
    ("도토리숲", "도토리숲"),
    ("MOMO KIDS", "모모키즈"),
];

pub(crate) const MODIFIERS: [&str; 12] = [
    "신상",
    "베이직",
    "프리미엄",
    "데일리",
    "2026 S/S",
    "국내생산",
    "New",
    "인기",
    "대용량",
    "Classic",
    "[무료배송]",
    "1+1",
];

pub(crate) const COLORS: [&str; 8] = [
    "블랙",
    "화이트",
    "네이비",
    "베이지",
    "그레이",
    "Olive",
    "Sky Blue",
    "버건디",
];

pub(crate) const ORIGINS: [&str; 5] = ["국산", "중국", "베트남", "일본", "미국"];

pub(crate) const EVENTS: [&str; 5] = [
    "",
    "오늘출발, 무료반품",
    "리뷰 작성시 3,000원 적립",
    "\"앵콜\" 특가 ~50%",
    "첫 구매 쿠폰 & 사은품",
];

pub(crate) const SENTENCES: [&str; 6] = [
    "매일 편하게 쓰기 좋은 제품입니다.",
    "국내 품질 검사를 통과했습니다.",
    "Designed in Seoul, made to last.",
    "선물용으로도 많이 찾으십니다.",
    "오후 2시 이전 주문은 당일 출고, 이후 주문은 다음 날 출고됩니다.",
    "Free returns within 30 days.",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_can_be_written_in_cp949() {
        let mut all = String::new();
        for leaf in &LEAVES {
            for word in leaf
                .path
                .iter()
                .chain(&leaf.nouns)
                .chain(leaf.trade.sizes())
            {
                all.push_str(word);
            }
            for (brand, maker) in leaf.trade.brands() {
                all.push_str(brand);
                all.push_str(maker);
            }
        }
        for table in [&MODIFIERS[..], &COLORS, &ORIGINS, &EVENTS, &SENTENCES] {
            all.extend(table.iter().copied());
        }
        let (_, _, lossy) = encoding_rs::EUC_KR.encode(&all);
        assert!(!lossy);
        assert!(!all.contains(['\t', '\n', '|', '^']), "EP has no quoting");
    }
}
