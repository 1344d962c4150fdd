//! Destinations: their names, their keys and their shares of the load.

use std::{
    collections::BTreeMap,
    io::{self, BufRead},
    path::Path,
};

use paceline_placement::{NameHasher, theory};

use super::format::{
    DEFAULT_DESTINATIONS, MAX_DESTINATIONS, Names, Popularity, PopulationSpec, Preset,
};

/// A set of destinations in descending order of their shares. Names with one hash tag are one
/// destination, called as the tag is.
pub(super) struct Population {
    pub name: String,
    pub about: String,
    /// Sum to 1.
    pub shares: Vec<f64>,
    /// The exponent, if the shares follow Zipf's law.
    pub skew: Option<f64>,
    /// Whether a destination may be many names that must stay together, which nobody may split.
    pub tagged: bool,
    names: NameSource,
}

enum NameSource {
    Numbered,
    Sequential,
    Uuid(u64),
    Paths,
    Prefix(String),
    Listed(Vec<Vec<u8>>),
}

impl Population {
    /// What a file asks for. A file of names is sought from `folder`, where that file lies.
    ///
    /// # Errors
    /// When a file of names cannot be read, has too few, or lists one twice.
    pub fn new(spec: &PopulationSpec, folder: &Path, seed: u64) -> Result<Self, String> {
        let mut measured = None;
        let mut names = match &spec.names {
            Names::Numbered => NameSource::Numbered,
            Names::Sequential => NameSource::Sequential,
            Names::Uuid => NameSource::Uuid(seed),
            Names::Paths => NameSource::Paths,
            Names::Prefix(prefix) => NameSource::Prefix(prefix.clone()),
            Names::File { path, .. } => {
                let path = folder.join(path);
                let unusable = |reason: String| {
                    let population = &spec.name;
                    format!("population `{population}`: cannot use {}: {reason}", path.display())
                };
                let listed = if spec.popularity == Popularity::Measured {
                    let (names, loads) = read_loads(&path, spec.destinations).map_err(unusable)?;
                    measured = Some(loads);
                    names
                } else {
                    read_names(&path, spec.destinations).map_err(unusable)?
                };
                NameSource::Listed(listed)
            }
        };
        let count = match &names {
            NameSource::Listed(listed) => listed.len(),
            _ => spec.destinations.unwrap_or(DEFAULT_DESTINATIONS),
        };
        if spec.destinations.is_some_and(|wanted| wanted > count) {
            return Err(format!("population `{}`: its file holds only {count} names", spec.name));
        }
        if matches!(spec.popularity, Popularity::Hot { hot, .. } if hot >= count) {
            let reason = format!("`hot` must be below the {count} names of its file");
            return Err(format!("population `{}`: {reason}", spec.name));
        }
        let skew = match spec.popularity {
            Popularity::Uniform => Some(0.0),
            Popularity::Zipf(exponent) => Some(exponent),
            Popularity::Hot { .. } => None,
            Popularity::Measured => {
                let even = |loads: &Vec<f64>| loads.first() == loads.last();
                measured.as_ref().is_some_and(even).then_some(0.0)
            }
            Popularity::Preset(preset) => Some(preset.exponent(count)),
        };
        let mut shares = match (spec.popularity, skew) {
            (Popularity::Hot { hot, share }, _) => hot_shares(count, hot, share),
            (Popularity::Measured, _) => measured_shares(measured.unwrap_or_default()),
            (_, skew) => theory::zipf_shares(count, skew.unwrap_or(0.0)),
        };
        let mut about =
            if spec.about.is_empty() { describe(spec, count, skew) } else { spec.about.clone() };
        let (mut skew, mut tagged) = (skew, false);
        if let (NameSource::Listed(listed), Names::File { hash_tags: true, .. }) =
            (&mut names, &spec.names)
        {
            (*listed, shares) = by_tag(listed, &shares);
            // Whatever law the names follow, their tags do not, but for being even.
            skew = (shares.first() == shares.last()).then_some(0.0);
            tagged = true;
            about += &format!("; {count} names with {} hash tags", shares.len());
        }
        Ok(Self { name: spec.name.clone(), about, shares, skew, tagged, names })
    }

    /// How many destinations there are.
    pub fn len(&self) -> usize {
        self.shares.len()
    }

    /// Whether all have the same share, so that their numbers can be tested.
    pub fn is_uniform(&self) -> bool {
        self.skew == Some(0.0)
    }

    /// Writes the name of a destination into `buffer`.
    pub fn write_name(&self, index: usize, buffer: &mut Vec<u8>) {
        use std::io::Write;
        buffer.clear();
        let written = match &self.names {
            NameSource::Numbered => write!(buffer, "queue-{index:06}"),
            NameSource::Sequential => write!(buffer, "q{index}"),
            NameSource::Paths => {
                let region = ["eu", "us", "ap"][index % 3];
                write!(buffer, "tenant-{}.orders.{region}.{}", index / 40, ACTIONS[index % 40 / 3])
            }
            NameSource::Uuid(seed) => {
                let bytes =
                    blake3::hash(&[seed.to_le_bytes(), (index as u64).to_le_bytes()].concat());
                write_uuid(bytes.as_bytes(), buffer)
            }
            NameSource::Prefix(prefix) => write!(buffer, "{prefix}{index}"),
            NameSource::Listed(names) => buffer.write_all(&names[index]),
        };
        written.expect("writing into memory does not fail");
    }

    /// The key of every destination, on all processors.
    pub fn keys(&self, hasher: &NameHasher) -> Vec<u64> {
        let mut keys = vec![0; self.len()];
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let part = self.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            for (number, keys) in keys.chunks_mut(part).enumerate() {
                scope.spawn(move || {
                    let mut name = Vec::new();
                    for (offset, key) in keys.iter_mut().enumerate() {
                        self.write_name(number * part + offset, &mut name);
                        *key = hasher.key(&name);
                    }
                });
            }
        });
        keys
    }
}

const ACTIONS: [&str; 14] = [
    "created",
    "paid",
    "packed",
    "shipped",
    "returned",
    "refunded",
    "cancelled",
    "viewed",
    "rated",
    "shared",
    "printed",
    "exported",
    "archived",
    "deleted",
];

fn write_uuid(bytes: &[u8], buffer: &mut Vec<u8>) -> io::Result<()> {
    use std::io::Write;
    for (at, byte) in bytes.iter().take(16).enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            buffer.push(b'-');
        }
        // Version 4, variant 1, as RFC 9562 has random ones.
        let byte = match at {
            6 => byte & 0x0f | 0x40,
            8 => byte & 0x3f | 0x80,
            _ => *byte,
        };
        write!(buffer, "{byte:02x}")?;
    }
    Ok(())
}

/// The names that a file lists, one a line, at most so many.
fn read_names(path: &Path, limit: Option<usize>) -> Result<Vec<Vec<u8>>, String> {
    let limit = limit.unwrap_or(MAX_DESTINATIONS);
    let names: Result<Vec<_>, String> =
        lines(path)?.take(limit).map(|line| line.map(|(_, name)| name)).collect();
    distinct(names?)
}

/// The names that a file lists, each with a tab and its load behind it, in descending order of the
/// loads, at most so many.
fn read_loads(path: &Path, limit: Option<usize>) -> Result<(Vec<Vec<u8>>, Vec<f64>), String> {
    let mut listed = Vec::new();
    for line in lines(path)?.take(MAX_DESTINATIONS) {
        let (number, mut name) = line?;
        let tab = name.iter().rposition(|byte| *byte == b'\t').ok_or_else(|| {
            let name = name.escape_ascii();
            format!("line {number} says no load: write `{name}`, a tab and a number")
        })?;
        let load = String::from_utf8_lossy(&name[tab + 1..]).trim().to_owned();
        let value: Option<f64> = load.parse().ok().filter(|l: &f64| l.is_finite() && *l >= 0.0);
        let value = value.ok_or_else(|| {
            format!("line {number}: `{load}` is no load, which is a number of at least 0")
        })?;
        name.truncate(tab);
        listed.push((name, value));
    }
    listed.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    listed.truncate(limit.unwrap_or(MAX_DESTINATIONS));
    if listed.iter().all(|(_, load)| *load == 0.0) && !listed.is_empty() {
        return Err("no load in it is above 0".into());
    }
    let (names, loads) = listed.into_iter().unzip();
    Ok((distinct(names)?, loads))
}

/// The lines of a file that are not empty, with their numbers from 1.
fn lines(
    path: &Path,
) -> Result<impl Iterator<Item = Result<(usize, Vec<u8>), String>> + use<>, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let lines = io::BufReader::new(file).split(b'\n').zip(1..).map(|(line, number)| {
        let mut line = line.map_err(|error| error.to_string())?;
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok((number, line))
    });
    Ok(lines.filter(|line| !matches!(line, Ok((_, text)) if text.is_empty())))
}

fn distinct(names: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, String> {
    if names.is_empty() {
        return Err("it holds no names".into());
    }
    let mut sorted: Vec<&Vec<u8>> = names.iter().collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(twice) => Err(format!("it lists `{}` twice", twice[0].escape_ascii())),
        None => Ok(names),
    }
}

/// What of a name is hashed, as the specification of Redis Cluster has it: what stands between the
/// first `{` and the first `}` behind it, or the whole name where nothing does.
fn hash_tag(name: &[u8]) -> &[u8] {
    let tag = || {
        let behind = &name[name.iter().position(|byte| *byte == b'{')? + 1..];
        let end = behind.iter().position(|byte| *byte == b'}')?;
        (end > 0).then(|| &behind[..end])
    };
    tag().unwrap_or(name)
}

/// The hash tags of names and the sum of the shares of each, in descending order.
fn by_tag(names: &[Vec<u8>], shares: &[f64]) -> (Vec<Vec<u8>>, Vec<f64>) {
    let mut tags: Vec<(Vec<u8>, f64)> = Vec::new();
    let mut known = BTreeMap::new();
    for (name, share) in names.iter().zip(shares) {
        let tag = hash_tag(name);
        let at = *known.entry(tag).or_insert(tags.len());
        if at == tags.len() {
            tags.push((tag.to_vec(), 0.0));
        }
        tags[at].1 += share;
    }
    tags.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    tags.into_iter().unzip()
}

/// Loads relative to their sum. First to the largest, so that no sum is too large.
fn measured_shares(loads: Vec<f64>) -> Vec<f64> {
    let largest = loads[0];
    let relative: Vec<f64> = loads.iter().map(|load| load / largest).collect();
    let total: f64 = relative.iter().sum();
    relative.into_iter().map(|load| load / total).collect()
}

fn hot_shares(count: usize, hot: usize, share: f64) -> Vec<f64> {
    let cold = if count > hot { (1.0 - share) / (count - hot) as f64 } else { 0.0 };
    let mut shares = vec![cold; count];
    shares[..hot].fill(share / hot as f64);
    shares.sort_by(|a, b| b.total_cmp(a));
    shares
}

impl Preset {
    /// The exponent of the Zipf law: the trace's own, or the one that gives its hottest share.
    fn exponent(self, destinations: usize) -> f64 {
        let hottest = match self {
            Preset::Ycsb => return 0.99,
            Preset::Wikipedia => 0.0932,
            Preset::Twitter => 0.0267,
            Preset::Cashtags => 0.0329,
            Preset::Livejournal => 0.0029,
        };
        let (mut low, mut high) = (0.0, 4.0);
        for _ in 0..40 {
            let middle = (low + high) / 2.0;
            let first = theory::zipf_shares(destinations, middle)[0];
            if first < hottest { low = middle } else { high = middle }
        }
        // Three digits are more than the trace's own precision.
        (low * 1000.0_f64).round() / 1000.0
    }
}

fn describe(spec: &PopulationSpec, count: usize, skew: Option<f64>) -> String {
    let load = match (spec.popularity, skew) {
        (Popularity::Uniform, _) => "equally popular".to_owned(),
        (Popularity::Zipf(exponent), _) => {
            format!("popular by Zipf's law with exponent {exponent}")
        }
        (Popularity::Hot { hot, share }, _) => {
            format!("of which {hot} share {:.0} % of the load", 100.0 * share)
        }
        (Popularity::Measured, _) => "popular as measured".to_owned(),
        (Popularity::Preset(preset), skew) => {
            let skew = skew.unwrap_or_default();
            format!("popular as in the trace {preset:?}: Zipf's law with exponent {skew}")
        }
    };
    let names = match &spec.names {
        Names::Numbered => "named queue-000000 and so on".to_owned(),
        Names::Sequential => "named q0 and so on".to_owned(),
        Names::Uuid => "named by random UUIDs".to_owned(),
        Names::Paths => "named by paths of tenants".to_owned(),
        Names::Prefix(prefix) => format!("named {prefix}0 and so on"),
        Names::File { path, .. } => format!("named in {path}"),
    };
    format!("{count} destinations, {load}, {names}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn population(popularity: Popularity, names: Names) -> Population {
        let spec = PopulationSpec {
            name: "p".into(),
            about: String::new(),
            destinations: Some(5000),
            popularity,
            names,
        };
        Population::new(&spec, Path::new(""), 7).unwrap()
    }

    #[test]
    fn shares_sum_to_one_and_descend() {
        for popularity in [
            Popularity::Uniform,
            Popularity::Zipf(1.1),
            Popularity::Hot { hot: 8, share: 0.8 },
            Popularity::Preset(Preset::Wikipedia),
        ] {
            let shares = population(popularity, Names::Numbered).shares;
            assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            assert!(shares.is_sorted_by(|a, b| a >= b));
        }
        let wikipedia = population(Popularity::Preset(Preset::Wikipedia), Names::Uuid);
        assert!((wikipedia.shares[0] - 0.0932).abs() < 0.0005, "{}", wikipedia.shares[0]);
    }

    #[test]
    fn measured_loads_are_read_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &str, destinations: Option<usize>| {
            std::fs::write(folder.path().join("loads.tsv"), text).unwrap();
            let spec = PopulationSpec {
                name: "p".into(),
                about: String::new(),
                destinations,
                popularity: Popularity::Measured,
                names: Names::File { path: "loads.tsv".into(), hash_tags: false },
            };
            Population::new(&spec, folder.path(), 7)
        };
        let name = |population: &Population, index: usize| {
            let mut name = Vec::new();
            population.write_name(index, &mut name);
            String::from_utf8(name).unwrap()
        };
        let text = "cold\t5\r\n\nhot\tone\t1.5e1\nidle\t0\n";
        let all = read(text, None).unwrap();
        assert_eq!(all.shares, [0.75, 0.25, 0.0]);
        assert_eq!([name(&all, 0), name(&all, 1), name(&all, 2)], ["hot\tone", "cold", "idle"]);
        assert!(!all.is_uniform() && all.about.contains("as measured"), "{}", all.about);
        assert_eq!(read(text, Some(1)).unwrap().shares, [1.0], "the most loaded");
        assert!(read("a\t2\nb\t2\n", None).unwrap().is_uniform());
        assert_eq!(read("a\t1e308\nb\t1e308\n", None).unwrap().shares, [0.5, 0.5]);

        for (text, reason) in [
            ("a\t1\nb\n", "line 2 says no load: write `b`, a tab and a number"),
            ("a\tmany\n", "line 1: `many` is no load"),
            ("a\t-1\n", "line 1: `-1` is no load"),
            ("a\tinf\n", "line 1: `inf` is no load"),
            ("a\t0\nb\t0\n", "no load in it is above 0"),
            ("a\t1\na\t2\n", "it lists `a` twice"),
            ("\n", "holds no names"),
        ] {
            let error = read(text, None).err().unwrap();
            assert!(error.contains(reason) && error.contains("loads.tsv"), "{error}");
        }
        assert!(read(text, Some(4)).err().unwrap().contains("only 3 names"));
    }

    /// The examples of the Redis Cluster specification, "Hash tags".
    #[test]
    fn the_hash_tag_is_that_of_redis() {
        for (name, tag) in [
            ("{user1000}.following", "user1000"),
            ("{user1000}.followers", "user1000"),
            ("foo{}{bar}", "foo{}{bar}"),
            ("foo{{bar}}zap", "{bar"),
            ("foo{bar}{zap}", "bar"),
            ("foo{bar", "foo{bar"),
            ("}foo{bar}", "bar"),
            ("foo", "foo"),
            ("", ""),
        ] {
            assert_eq!(hash_tag(name.as_bytes()).escape_ascii().to_string(), tag, "{name}");
        }
    }

    #[test]
    fn names_with_one_tag_are_one_destination() {
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &str, popularity: Popularity, hash_tags: bool| {
            std::fs::write(folder.path().join("names.txt"), text).unwrap();
            let spec = PopulationSpec {
                name: "p".into(),
                about: String::new(),
                destinations: None,
                popularity,
                names: Names::File { path: "names.txt".into(), hash_tags },
            };
            Population::new(&spec, folder.path(), 7).unwrap()
        };
        let text = "a:{u1}\nb:{u2}\nc:{u2}\nu2\nd\n";
        let tagged = read(text, Popularity::Uniform, true);
        let mut name = Vec::new();
        tagged.write_name(0, &mut name);
        assert_eq!((name.as_slice(), tagged.len()), (&b"u2"[..], 3));
        assert!((tagged.shares[0] - 0.6).abs() < 1e-12 && tagged.shares[1] == tagged.shares[2]);
        assert!(tagged.tagged && tagged.skew.is_none(), "three of five names are one");
        assert!(tagged.about.ends_with("; 5 names with 3 hash tags"), "{}", tagged.about);
        let hasher = NameHasher::new(paceline_placement::HashFunction::Md5, "s");
        assert_eq!(tagged.keys(&hasher)[0], hasher.key(b"u2"));

        let plain = read(text, Popularity::Uniform, false);
        assert_eq!((plain.len(), plain.tagged, plain.is_uniform()), (5, false, true));
        assert!(read("{a}1\n{b}1\n{a}2\n{b}2\n", Popularity::Uniform, true).is_uniform());
        let measured = read("{a}1\t1\n{b}1\t5\n{a}2\t9\n", Popularity::Measured, true);
        assert!((measured.shares[0] - 10.0 / 15.0).abs() < 1e-12, "{:?}", measured.shares);
    }

    #[test]
    fn names_are_distinct() {
        for names in [
            Names::Numbered,
            Names::Sequential,
            Names::Uuid,
            Names::Paths,
            Names::Prefix("load1.".into()),
        ] {
            let population = population(Popularity::Uniform, names.clone());
            let mut seen = std::collections::BTreeSet::new();
            let mut buffer = Vec::new();
            for index in 0..population.len() {
                population.write_name(index, &mut buffer);
                assert!(seen.insert(buffer.clone()), "{names:?} {index}");
            }
        }
    }
}
