//! What the names of an element (class, id, itemprop, role and the like) say about its content.
//!
//! The words are those that content-management systems and designers use; none of them belongs to one site.

use crate::octets::{self, MARKS, SMALL, Words};

/// The kinds of content that names hint at, one bit each in a [`Hints`] mask and one distance each in the features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Hint {
    Content,
    Article,
    Navigation,
    Footer,
    Sidebar,
    Comment,
    Related,
    Share,
    Advert,
    Consent,
    Byline,
    Signup,
    Header,
    Product,
    Card,
    Review,
    Pager,
    Filter,
    Hero,
    Post,
    Hidden,
    Description,
    Title,
    Code,
    User,
    Faq,
}

/// The number of kinds.
pub(crate) const HINTS: usize = Hint::Faq as usize + 1;

/// A set of [`Hint`]s.
pub(crate) type Hints = u32;

/// Words and the kind they hint at; a name's word counts when it equals the entry, or starts with it when the entry ends
/// in `*`. Sorted by nothing: the list is read into a table by first letter while compiling.
const WORDS: &[(&str, Hint)] = &[
    ("content*", Hint::Content),
    ("contenu", Hint::Content),
    ("inhalt", Hint::Content),
    ("main*", Hint::Content),
    ("body*", Hint::Content),
    ("text*", Hint::Content),
    ("richtext*", Hint::Content),
    ("rte", Hint::Content),
    ("wysiwyg", Hint::Content),
    ("prose", Hint::Content),
    ("markdown*", Hint::Content),
    ("cms", Hint::Content),
    ("paragraph*", Hint::Content),
    ("article*", Hint::Article),
    ("story*", Hint::Article),
    ("blog*", Hint::Article),
    ("entry*", Hint::Article),
    ("articlebody", Hint::Article),
    ("hentry", Hint::Article),
    ("nav*", Hint::Navigation),
    ("menu*", Hint::Navigation),
    ("breadcrumb*", Hint::Navigation),
    ("crumb*", Hint::Navigation),
    ("submenu*", Hint::Navigation),
    ("toc*", Hint::Navigation),
    ("megamenu*", Hint::Navigation),
    ("dropdown*", Hint::Navigation),
    ("skip*", Hint::Navigation),
    ("links", Hint::Navigation),
    ("footer*", Hint::Footer),
    ("foot", Hint::Footer),
    ("bottom*", Hint::Footer),
    ("copyright*", Hint::Footer),
    ("legal*", Hint::Footer),
    ("disclaimer*", Hint::Footer),
    ("contentinfo", Hint::Footer),
    ("colophon", Hint::Footer),
    ("sidebar*", Hint::Sidebar),
    ("aside*", Hint::Sidebar),
    ("widget*", Hint::Sidebar),
    ("rail*", Hint::Sidebar),
    ("complementary", Hint::Sidebar),
    ("secondary*", Hint::Sidebar),
    ("sidenav*", Hint::Sidebar),
    ("comment*", Hint::Comment),
    ("reply*", Hint::Comment),
    ("replies", Hint::Comment),
    ("respond*", Hint::Comment),
    ("disqus*", Hint::Comment),
    ("related*", Hint::Related),
    ("recommend*", Hint::Related),
    ("similar*", Hint::Related),
    ("more*", Hint::Related),
    ("also*", Hint::Related),
    ("trending*", Hint::Related),
    ("popular*", Hint::Related),
    ("recent*", Hint::Related),
    ("upsell*", Hint::Related),
    ("crosssell*", Hint::Related),
    ("readmore*", Hint::Related),
    ("suggest*", Hint::Related),
    ("latest*", Hint::Related),
    ("share*", Hint::Share),
    ("sharing*", Hint::Share),
    ("social*", Hint::Share),
    ("follow*", Hint::Share),
    ("ad", Hint::Advert),
    ("ads*", Hint::Advert),
    ("advert*", Hint::Advert),
    ("promo*", Hint::Advert),
    ("sponsor*", Hint::Advert),
    ("banner*", Hint::Advert),
    ("cta*", Hint::Advert),
    ("offer*", Hint::Advert),
    ("affiliate*", Hint::Advert),
    ("cookie*", Hint::Consent),
    ("consent*", Hint::Consent),
    ("gdpr*", Hint::Consent),
    ("privacy*", Hint::Consent),
    ("modal*", Hint::Consent),
    ("popup*", Hint::Consent),
    ("overlay*", Hint::Consent),
    ("dialog*", Hint::Consent),
    ("alert*", Hint::Consent),
    ("notice*", Hint::Consent),
    ("toast*", Hint::Consent),
    ("tooltip*", Hint::Consent),
    ("drawer*", Hint::Consent),
    ("lightbox*", Hint::Consent),
    ("meta*", Hint::Byline),
    ("byline*", Hint::Byline),
    ("author*", Hint::Byline),
    ("date*", Hint::Byline),
    ("time*", Hint::Byline),
    ("published*", Hint::Byline),
    ("tag", Hint::Byline),
    ("tags*", Hint::Byline),
    ("categor*", Hint::Byline),
    ("info*", Hint::Byline),
    ("bio*", Hint::Byline),
    ("newsletter*", Hint::Signup),
    ("subscri*", Hint::Signup),
    ("signup*", Hint::Signup),
    ("signin*", Hint::Signup),
    ("login*", Hint::Signup),
    ("register*", Hint::Signup),
    ("form*", Hint::Signup),
    ("contact*", Hint::Signup),
    ("account*", Hint::Signup),
    ("header*", Hint::Header),
    ("head", Hint::Header),
    ("masthead*", Hint::Header),
    ("top*", Hint::Header),
    ("logo*", Hint::Header),
    ("topbar*", Hint::Header),
    ("announcement*", Hint::Header),
    ("product*", Hint::Product),
    ("price*", Hint::Product),
    ("cart*", Hint::Product),
    ("buy*", Hint::Product),
    ("sku*", Hint::Product),
    ("shop*", Hint::Product),
    ("spec*", Hint::Product),
    ("attribute*", Hint::Product),
    ("variant*", Hint::Product),
    ("basket*", Hint::Product),
    ("wishlist*", Hint::Product),
    ("checkout*", Hint::Product),
    ("card*", Hint::Card),
    ("item*", Hint::Card),
    ("tile*", Hint::Card),
    ("grid*", Hint::Card),
    ("list*", Hint::Card),
    ("teaser*", Hint::Card),
    ("result*", Hint::Card),
    ("collection*", Hint::Card),
    ("cell*", Hint::Card),
    ("thumb*", Hint::Card),
    ("review*", Hint::Review),
    ("rating*", Hint::Review),
    ("star*", Hint::Review),
    ("testimonial*", Hint::Review),
    ("feedback*", Hint::Review),
    ("pagination*", Hint::Pager),
    ("pager*", Hint::Pager),
    ("paging*", Hint::Pager),
    ("pages", Hint::Pager),
    ("next*", Hint::Pager),
    ("prev*", Hint::Pager),
    ("filter*", Hint::Filter),
    ("sort*", Hint::Filter),
    ("facet*", Hint::Filter),
    ("refine*", Hint::Filter),
    ("toolbar*", Hint::Filter),
    ("search*", Hint::Filter),
    ("button*", Hint::Filter),
    ("btn*", Hint::Filter),
    ("action*", Hint::Filter),
    ("tab*", Hint::Filter),
    ("control*", Hint::Filter),
    ("option*", Hint::Filter),
    ("hero*", Hint::Hero),
    ("slider*", Hint::Hero),
    ("carousel*", Hint::Hero),
    ("slide*", Hint::Hero),
    ("swiper*", Hint::Hero),
    ("gallery*", Hint::Hero),
    ("post*", Hint::Post),
    ("message*", Hint::Post),
    ("thread*", Hint::Post),
    ("topic*", Hint::Post),
    ("forum*", Hint::Post),
    ("question*", Hint::Post),
    ("answer*", Hint::Post),
    ("bbwrapper", Hint::Post),
    ("quote*", Hint::Post),
    ("hidden*", Hint::Hidden),
    ("hide*", Hint::Hidden),
    ("sr", Hint::Hidden),
    ("visually*", Hint::Hidden),
    ("screen*", Hint::Hidden),
    ("collapse*", Hint::Hidden),
    ("print*", Hint::Hidden),
    ("invisible*", Hint::Hidden),
    ("noprint*", Hint::Hidden),
    ("accessib*", Hint::Hidden),
    ("desc*", Hint::Description),
    ("summary*", Hint::Description),
    ("excerpt*", Hint::Description),
    ("intro*", Hint::Description),
    ("lead*", Hint::Description),
    ("abstract*", Hint::Description),
    ("detail*", Hint::Description),
    ("about*", Hint::Description),
    ("subtitle*", Hint::Description),
    ("overview*", Hint::Description),
    ("feature*", Hint::Description),
    ("benefit*", Hint::Description),
    ("title*", Hint::Title),
    ("heading*", Hint::Title),
    ("headline*", Hint::Title),
    ("name*", Hint::Title),
    ("caption*", Hint::Title),
    ("label*", Hint::Title),
    ("code*", Hint::Code),
    ("highlight*", Hint::Code),
    ("syntax*", Hint::Code),
    ("doc*", Hint::Code),
    ("docs*", Hint::Code),
    ("api*", Hint::Code),
    ("user*", Hint::User),
    ("creator*", Hint::User),
    ("profile*", Hint::User),
    ("avatar*", Hint::User),
    ("member*", Hint::User),
    ("signature*", Hint::User),
    ("stat*", Hint::User),
    ("vote*", Hint::User),
    ("like*", Hint::User),
    ("faq*", Hint::Faq),
    ("accordion*", Hint::Faq),
    ("panel*", Hint::Faq),
    ("step*", Hint::Faq),
];

/// An entry of the list, made ready for comparing eight bytes in one step.
#[derive(Clone, Copy)]
struct Entry {
    /// Its first eight letters and, when a word has to equal it, the end behind them; zeros past that.
    head: u64,
    mask: u64,
    letters: &'static [u8],
    is_prefix: bool,
    hint: Hint,
}

/// The range of entries by first letter.
const BY_LETTER: [(u8, u8); 26] = ranges();
static SORTED: [Entry; WORDS.len()] = sorted();

const fn entry(at: usize) -> Entry {
    let (text, hint) = WORDS[at];
    let bytes = text.as_bytes();
    let is_prefix = bytes[bytes.len() - 1] == b'*';
    let letters = if is_prefix {
        bytes.split_at(bytes.len() - 1).0
    } else {
        bytes
    };
    let compared = letters.len() + !is_prefix as usize;
    let mask = if compared < 8 {
        (1 << (compared * 8)) - 1
    } else {
        u64::MAX
    };
    let (mut head, mut byte) = (0, 0);
    while byte < letters.len() && byte < 8 {
        head |= (letters[byte] as u64) << (byte * 8);
        byte += 1;
    }
    Entry {
        head,
        mask,
        letters,
        is_prefix,
        hint,
    }
}

const fn sorted() -> [Entry; WORDS.len()] {
    let mut table = [entry(0); WORDS.len()];
    let mut filled = 0;
    let mut letter = b'a';
    while letter <= b'z' {
        let mut at = 0;
        while at < WORDS.len() {
            if WORDS[at].0.as_bytes()[0] == letter {
                table[filled] = entry(at);
                filled += 1;
            }
            at += 1;
        }
        letter += 1;
    }
    table
}

const fn ranges() -> [(u8, u8); 26] {
    let mut ranges = [(0, 0); 26];
    let table = sorted();
    let mut at = 0;
    while at < table.len() {
        let letter = (table[at].letters[0] - b'a') as usize;
        if ranges[letter].1 == 0 {
            ranges[letter].0 = at as u8;
        }
        ranges[letter].1 = at as u8 + 1;
        at += 1;
    }
    ranges
}

/// The hints of one attribute value. Words end where letters do and where a capital follows a small letter, so that
/// `post-body`, `post_body` and `postBody` say the same.
pub(crate) fn of_names(names: &str) -> Hints {
    let mut hints = 0;
    let bytes = names.as_bytes();
    let mut start = 0;
    while let Some(first) = bytes.get(start) {
        if !first.is_ascii_alphabetic() {
            start += 1;
            continue;
        }
        let eight = octets::at(bytes, start);
        let Words {
            letters, capitals, ..
        } = Words::of(eight);
        let ends = !letters & MARKS | capitals & (letters & !capitals) << 8;
        let mut end = start + octets::before(ends);
        if ends == 0 {
            while bytes.get(end).is_some_and(u8::is_ascii_alphabetic)
                && !(bytes[end].is_ascii_uppercase() && bytes[end - 1].is_ascii_lowercase())
            {
                end += 1;
            }
        }
        let head = octets::first(eight | SMALL, end - start);
        hints |= of_word(head, &bytes[start..end]);
        start = end;
    }
    hints
}

/// First words of the classes of utility style sheets, which speak of looks, not of content.
const UTILITIES: &[&str] = &[
    "text", "items", "top", "bottom", "list", "content", "grid", "hidden", "object", "overflow",
    "body", "title", "next", "prev", "col", "slide",
];
/// An element with so many classes is styled by utility classes.
const UTILITY_CLASSES_MIN: usize = 7;

/// The hints of a class attribute.
pub(crate) fn of_classes(classes: &str) -> Hints {
    let count = classes.bytes().filter(|byte| *byte == b' ').count() + 1;
    if count < UTILITY_CLASSES_MIN && !classes.contains(':') {
        return of_names(classes);
    }
    let is_utility = |class: &&str| {
        class.contains([':', '[', '/'])
            || class
                .split_once('-')
                .is_some_and(|(first, _)| UTILITIES.contains(&first))
    };
    classes
        .split_ascii_whitespace()
        .filter(|class| !is_utility(class))
        .fold(0, |hints, class| hints | of_names(class))
}

/// Class names seen before: pages repeat the same few hundreds of times.
pub(crate) struct Cache {
    entries: Vec<(u64, Hints)>,
}

/// A power of two; two names that share an entry only push each other out.
const CACHE_ENTRIES: usize = 128;

impl Cache {
    pub(crate) fn new() -> Cache {
        Cache {
            entries: vec![(0, 0); CACHE_ENTRIES],
        }
    }

    /// [`of_classes`], or what it said of the same classes before.
    pub(crate) fn of_classes(&mut self, classes: &str) -> Hints {
        let hash = hash(classes.as_bytes());
        let entry = &mut self.entries[hash as usize % CACHE_ENTRIES];
        if entry.0 != hash {
            *entry = (hash, of_classes(classes));
        }
        entry.1
    }
}

/// A hash over eight bytes at a time; never 0, which marks an empty entry. A collision only costs a hint.
fn hash(bytes: &[u8]) -> u64 {
    const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = bytes.len() as u64;
    for word in words {
        hash = (hash.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(MIX);
    }
    for byte in rest {
        hash = (hash.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(MIX);
    }
    (hash ^ (hash >> 32)) | 1 << 63
}

/// The second letters of the entries that begin with a letter, as bits: most words need no look at the entries.
static SECOND_LETTERS: [u32; 26] = {
    let mut letters = [0; 26];
    let mut at = 0;
    while at < WORDS.len() {
        let word = WORDS[at].0.as_bytes();
        letters[(word[0] - b'a') as usize] |= 1 << (word[1] - b'a');
        at += 1;
    }
    letters
};

/// The hints of a word, which has letters only. `head` is its first eight in lower case.
fn of_word(head: u64, word: &[u8]) -> Hints {
    let [first, second, ..] = head.to_le_bytes();
    let letter = usize::from(first - b'a');
    let is_known = second != 0 && SECOND_LETTERS[letter] >> (second - b'a') & 1 != 0;
    if !is_known {
        return 0;
    }
    let (from, to) = BY_LETTER[letter];
    let mut hints = 0;
    for entry in &SORTED[usize::from(from)..usize::from(to)] {
        if head & entry.mask == entry.head && entry.fits(word) {
            hints |= 1 << entry.hint as u32;
        }
    }
    hints
}

impl Entry {
    /// Whether a word with this head is the entry, or starts with it.
    fn fits(&self, word: &[u8]) -> bool {
        let length = self.letters.len();
        (self.is_prefix || word.len() == length)
            && word
                .get(8..length)
                .is_none_or(|rest| rest.eq_ignore_ascii_case(&self.letters[8..]))
            && word.len() >= length
    }
}

#[cfg(test)]
mod tests {
    use super::{Hint, of_names};

    #[test]
    fn names_hint_whatever_their_spelling() {
        let post_content = (1 << Hint::Post as u32) | (1 << Hint::Content as u32);
        for names in [
            "post-body",
            "post_body",
            "postBody",
            "POST BODY",
            "12post__body--x",
        ] {
            assert_eq!(of_names(names), post_content, "{names}");
        }
        assert_eq!(of_names("ad"), 1 << Hint::Advert as u32);
        assert_eq!(of_names("Announcements"), 1 << Hint::Header as u32);
        assert_eq!(of_names("announcemend"), 0);
        assert_eq!(of_names("announce bbwrapperx"), 0);
        assert_eq!(of_names("bbWrapper"), of_names("wrapper"));
        assert_eq!(of_names("BBWRAPPER"), 1 << Hint::Post as u32);
        assert_eq!(of_names("adoption grade"), 0);
        assert_eq!(of_names(""), 0);
    }
}
