//! Destinations: their names, their keys and their shares of the load.

use std::{
    io::{self, BufRead},
    path::Path,
};

use paceline_placement::{NameHasher, theory};

use super::format::{DEFAULT_DESTINATIONS, Names, Popularity, PopulationSpec, Preset};

/// A set of destinations in descending order of their shares.
pub(super) struct Population {
    pub name: String,
    pub about: String,
    /// Sum to 1.
    pub shares: Vec<f64>,
    /// The exponent, if the shares follow Zipf's law.
    pub skew: Option<f64>,
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
        let names = match &spec.names {
            Names::Numbered => NameSource::Numbered,
            Names::Sequential => NameSource::Sequential,
            Names::Uuid => NameSource::Uuid(seed),
            Names::Paths => NameSource::Paths,
            Names::Prefix(prefix) => NameSource::Prefix(prefix.clone()),
            Names::File(path) => {
                let path = folder.join(path);
                let listed = read_names(&path, spec.destinations).map_err(|reason| {
                    let population = &spec.name;
                    format!("population `{population}`: cannot use {}: {reason}", path.display())
                });
                NameSource::Listed(listed?)
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
            Popularity::Preset(preset) => Some(preset.exponent(count)),
        };
        let shares = match (spec.popularity, skew) {
            (Popularity::Hot { hot, share }, _) => hot_shares(count, hot, share),
            (_, skew) => theory::zipf_shares(count, skew.unwrap_or(0.0)),
        };
        let about =
            if spec.about.is_empty() { describe(spec, count, skew) } else { spec.about.clone() };
        Ok(Self { name: spec.name.clone(), about, shares, skew, names })
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

fn read_names(path: &Path, limit: Option<usize>) -> Result<Vec<Vec<u8>>, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let limit = limit.unwrap_or(super::format::MAX_DESTINATIONS);
    let mut names = Vec::new();
    for line in io::BufReader::new(file).split(b'\n').take(limit) {
        let mut line = line.map_err(|error| error.to_string())?;
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if !line.is_empty() {
            names.push(line);
        }
    }
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
        Names::File(path) => format!("named in {path}"),
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
