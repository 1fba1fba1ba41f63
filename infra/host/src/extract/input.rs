//! Files as they come: plain, packed, or from the standard input.

use std::io::Read;
use std::path::Path;

use anyhow::Context as _;
use flate2::read::MultiGzDecoder;
use trawl_core::limits::scrape::DECODED_BYTES_MAX;

/// How a gzip file begins (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The bytes of a file, unpacked when it is packed; `-` is the standard input.
///
/// # Errors
/// A file that can't be read, is damaged, or is larger than any page that is fetched.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let name = file.display();
    let bytes = if file == Path::new("-") {
        bounded(std::io::stdin().lock())
    } else {
        bounded(std::fs::File::open(file).with_context(|| format!("can't read {name}"))?)
    };
    let bytes = bytes.with_context(|| format!("can't read {name}"))?;
    let is_packed = file
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("gz"))
        || (file == Path::new("-") && bytes.starts_with(&GZIP));
    if !is_packed {
        return Ok(bytes);
    }
    bounded(MultiGzDecoder::new(bytes.as_slice())).with_context(|| format!("can't unpack {name}"))
}

fn bounded(mut reader: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = DECODED_BYTES_MAX as u64;
    reader.by_ref().take(limit + 1).read_to_end(&mut bytes)?;
    anyhow::ensure!(
        bytes.len() as u64 <= limit,
        "it is larger than {} MiB",
        limit >> 20
    );
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn packed_files_are_unpacked_and_bombs_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let pack = |name: &str, bytes: &[u8]| {
            let file = folder.path().join(name);
            let mut packer = flate2::write::GzEncoder::new(
                std::fs::File::create(&file).unwrap(),
                flate2::Compression::fast(),
            );
            packer.write_all(bytes).unwrap();
            packer.finish().unwrap();
            file
        };
        assert_eq!(read(&pack("a.html.gz", b"<p>hello")).unwrap(), b"<p>hello");
        assert!(read(&pack("bomb.gz", &vec![0; DECODED_BYTES_MAX + 1])).is_err());
        std::fs::write(folder.path().join("b.gz"), "no gzip").unwrap();
        assert!(read(&folder.path().join("b.gz")).is_err());
        assert!(
            read(&folder.path().join("missing"))
                .unwrap_err()
                .to_string()
                .contains("missing")
        );
    }
}
