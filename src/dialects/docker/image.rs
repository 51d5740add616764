//! What Docker takes for the name of an image: `host:port/path/name:tag@algorithm:digest`.

/// Whether it is one.
pub fn is_reference(text: &str) -> bool {
    let (rest, digest) = match text.split_once('@') {
        None => (text, None),
        Some((rest, digest)) => (rest, Some(digest)),
    };
    // The last colon is that of a tag, unless a path follows: then it is that of a port.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    digest.is_none_or(is_digest) && tag.is_none_or(is_tag) && is_name(name) && !is_identifier(text)
}

fn is_name(name: &str) -> bool {
    let path =
        match name.split_once('/') {
            // A first part with a dot, a colon or a capital letter is a registry.
            Some((host, rest))
                if host == "localhost" || host.contains(['.', ':']) || host.to_ascii_lowercase() != host =>
            {
                if is_host(host) { rest } else { name }
            }
            _ => name,
        };
    name.len() <= 255 && path.split('/').all(is_component)
}

fn is_host(host: &str) -> bool {
    let (host, port) = match host.split_once(':') {
        None => (host, None),
        Some((host, port)) => (host, Some(port)),
    };
    let is_label = |label: &str| {
        let is_edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        is_edge(label.chars().next())
            && is_edge(label.chars().last())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit());
    host.split('.').all(is_label) && port.is_none_or(is_port)
}

/// Small letters and digits, with `.`, `_`, `__` or hyphens between them.
fn is_component(part: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_edge = |c: Option<char>| c.is_some_and(is_word);
    let between = part.split(is_word).filter(|gap| !gap.is_empty());
    let is_gap = |gap: &str| matches!(gap, "." | "_" | "__") || gap.bytes().all(|c| c == b'-');
    is_edge(part.chars().next()) && is_edge(part.chars().last()) && between.into_iter().all(is_gap)
}

fn is_tag(tag: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_inner = |c: char| is_word(c) || ".-".contains(c);
    tag.len() <= 128 && tag.chars().next().is_some_and(is_word) && tag.chars().all(is_inner)
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else {
        return false;
    };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    hex.len() == length && is_hex(hex)
}

/// What would be taken for the id of an image.
fn is_identifier(text: &str) -> bool {
    text.len() == 64 && is_hex(text)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images_are_told_from_others() {
        let digest = format!("a/b@sha256:{}", "0f".repeat(32));
        let tagged = format!("reg.Example:5000/a/b:v1@sha256:{}", "0f".repeat(32));
        for good in [
            "a",
            "a:1",
            "host:80/a/b:c",
            "localhost/a",
            "a.b-c_d__e/f--g",
            "Host/a",
            "a:B_.-",
            &digest,
            &tagged,
        ] {
            assert!(is_reference(good), "{good}");
        }
        let (long, id) = (format!("a:{}", "b".repeat(129)), "0123456789abcdef".repeat(4));
        for bad in [
            "",
            "UPPER",
            "a:b:c",
            "a b",
            "-",
            "a@sha256:1",
            "http://a/b",
            "a/",
            "/a",
            "a:",
            "a//b",
            "a_-b",
            "a..b",
            "a___b",
            "h:x/a",
            &long,
            &id,
        ] {
            assert!(!is_reference(bad), "{bad}");
        }
    }
}
