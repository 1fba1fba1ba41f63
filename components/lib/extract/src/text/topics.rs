//! Words that say what a short text is for: legal lines, sharing, commerce and the like.

use super::blocks::WordHash;

/// The number of topics.
pub(crate) const TOPICS: usize = 12;
/// Topics are a matter of short texts; of longer ones the first words are read.
pub(crate) const WORDS_READ: u32 = 24;

/// The topics' words in a few widespread languages, as far as they are written in ASCII.
const WORDS: [&str; TOPICS] = [
    // Legal lines and consent.
    "copyright rights reserved privacy terms cookie cookies policy legal imprint impressum datenschutz mentions consent gdpr conditions disclaimer agb confidentialite privacidad",
    // Accounts and newsletters.
    "login sign signin signup register subscribe newsletter email password account join log inscription connexion anmelden registrieren suscribirse inbox unsubscribe subscribed",
    // Sharing.
    "share facebook twitter linkedin whatsapp pinterest tweet instagram youtube telegram reddit tiktok partager teilen compartir follow copy print bluesky threads",
    // Commerce.
    "cart basket checkout price buy shipping wishlist quantity stock delivery panier warenkorb carrito shop order payment returns refund sale discount coupon compare bag livraison versand lieferung",
    // Navigation.
    "menu home search next previous skip back more view show read click see toggle close open navigation jump load all browse sort filter filters results page mehr voir lire suivant weiter anzeigen",
    // Talk.
    "comments comment reply replies likes views votes posted report quote joined member members messages thread forum topic answer answered asked upvote moderator reputation replied wrote edited",
    // Time.
    "ago hours minutes days january february march april may june july august september october november december jan feb mar apr jun jul aug sep sept oct nov dec monday tuesday wednesday thursday friday saturday sunday updated published min hour day week month year",
    // Other pages.
    "related recommended similar popular trending latest also recent featured newest top suggested discover explore customers viewed bought interested stories articles news posts",
    // Advertising and help.
    "advertisement sponsored ad ads promoted contact support help faq careers press sitemap advertise download app store google play apple chat affiliate about team locations investors jobs",
    // Running text.
    "the of and to in is that for with was as on it are this from at be an have not which or de la le et les des der die und das den el los que en un una il di che per een het van",
    // Credits of pictures.
    "photo photos photograph photographer image images credit credits getty courtesy source figure illustration caption screenshot reuters afp shutterstock unsplash pexels istock alamy picture foto bild quelle via",
    // Bylines.
    "by author written writer editor reporter correspondent contributor staff publisher profile bio biography editors senior columnist journalist blogger founder",
];

/// A power of two, several times the number of words.
const PLACES: usize = 2048;
/// Each word's hash and topic at a place that its hash tells, or the next free one. Made while compiling.
static BY_HASH: [(u64, u8); PLACES] = table();

/// The first place of a hash.
const fn place(hash: u64) -> usize {
    (hash >> 32) as usize % PLACES
}

const fn table() -> [(u64, u8); PLACES] {
    let mut table = [(0, 0); PLACES];
    let mut topic = 0;
    while topic < TOPICS {
        let bytes = WORDS[topic].as_bytes();
        let mut at = 0;
        let mut hash = WordHash::START;
        while at <= bytes.len() {
            if at == bytes.len() || bytes[at] == b' ' {
                let word = hash.finish();
                let mut place = place(word);
                while table[place].0 != 0 {
                    assert!(table[place].0 != word, "a word has one topic");
                    place = (place + 1) % PLACES;
                }
                table[place] = (word, topic as u8);
                hash = WordHash::START;
            } else {
                hash = hash.push_ascii(bytes[at]);
            }
            at += 1;
        }
        topic += 1;
    }
    table
}

/// A bit for each place that is taken: the table is large for the processor's nearest cache, and most words have no topic.
static TAKEN: [u64; PLACES / 64] = {
    let mut bits = [0; PLACES / 64];
    let mut place = 0;
    while place < PLACES {
        bits[place / 64] |= ((BY_HASH[place].0 != 0) as u64) << (place % 64);
        place += 1;
    }
    bits
};

/// The topic of a word, by the hash of its lower-case form.
pub(crate) fn of_word(hash: u64) -> Option<usize> {
    let mut place = place(hash);
    if (TAKEN[place / 64] >> (place % 64)) & 1 == 0 {
        return None;
    }
    loop {
        match BY_HASH[place] {
            (0, _) => return None,
            (found, topic) if found == hash => return Some(usize::from(topic)),
            _ => place = (place + 1) % PLACES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::of_word;
    use crate::text::blocks::word_hashes;

    #[test]
    fn words_have_their_topic() {
        let topics: Vec<_> = word_hashes("Copyright SHARE panier unheard the")
            .into_iter()
            .map(of_word)
            .collect();
        assert_eq!(topics, [Some(0), Some(2), Some(3), None, Some(9)]);
    }
}
