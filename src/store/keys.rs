//! The server's two keys: the data key seals secrets, the site key derives tokens.
//!
//! ```text
//! DATA/keys/data-1.key    32 octets in hex, mode 0400; `data-2.key` ... after a rotation
//! DATA/keys/site.key      the same
//! ```
//! They are made once, before the store is. Where a store is and a key is not, nothing is made:
//! a new key would open nothing, and every token out there would be void.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use super::home;
use crate::model::identity::{DeviceId, Digest};
use crate::model::secret::{Sealed, Secret};

/// Octets of a nonce of XChaCha20-Poly1305.
const XNONCE: usize = 24;
/// Set in the number of a data key: the value is sealed by AES-256-GCM-SIV, which the processor does.
/// Without it, it was sealed by XChaCha20-Poly1305, as every value was at first.
const SIV: u32 = 1 << 31;
/// Octets of a key.
const KEY: usize = 32;
/// Octets of a token: 160 bits, 32 characters.
const TOKEN: usize = 20;

/// Why a key is not to be had, or a sealed value does not open. No text holds a key or a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is a store, and its key is gone.
    #[error(
        "the key file {file} is missing, and without it the secrets in the store cannot be opened: put it back from the backup (`dialtone restore FILE`)"
    )]
    Missing { file: PathBuf },
    /// It is not 64 hex digits.
    #[error(
        "the key file {file} is damaged: put it back from the backup (`dialtone restore FILE`)"
    )]
    Damaged { file: PathBuf },
    /// Others may read it.
    #[error(
        "the key file {file} can be read by others (mode {mode:04o}): chmod 0400 it, and think about who read it"
    )]
    Open { file: PathBuf, mode: u32 },
    #[error("{doing} {file}: {why}")]
    Io {
        doing: &'static str,
        file: PathBuf,
        why: String,
    },
    /// The system gave no random numbers.
    #[error("the system gives no random numbers, so no key was made")]
    NoRandom,
    /// Sealed by a key that is not here.
    #[error("a secret was sealed by data key {0}, which is not in the key folder")]
    UnknownKey(u32),
    /// Changed, or moved from another row.
    #[error("a sealed secret does not open: it was changed, or belongs to another row")]
    Forged,
}

/// A key that seals values.
struct DataKey {
    key: Zeroizing<[u8; KEY]>,
    /// Of a key that is derived from it, ready for use.
    siv: LessSafeKey,
}

impl DataKey {
    fn of(key: Zeroizing<[u8; KEY]>) -> Option<Self> {
        let derived = Zeroizing::new(hmac(&key[..], &[b"dialtone aes-256-gcm-siv 1\0"]));
        let siv = UnboundKey::new(&AES_256_GCM_SIV, &derived[..]).ok()?;
        Some(Self {
            key,
            siv: LessSafeKey::new(siv),
        })
    }
}

/// The open keys. Wiped when dropped, never printed.
pub struct Keys {
    data: BTreeMap<u32, DataKey>,
    site: Zeroizing<[u8; KEY]>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(***)")
    }
}

impl Keys {
    /// Reads the keys of a data folder. Makes them where there is no store yet. `random` fills
    /// octets, or says that it cannot.
    pub fn load(
        data: &Path,
        store_exists: bool,
        random: fn(&mut [u8]) -> bool,
    ) -> Result<Self, KeyError> {
        let dir = data.join("keys");
        if !store_exists {
            make(&dir, random)?;
        }
        let mut found = BTreeMap::new();
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => Some(entries),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(io("read", &dir, &error)),
        };
        for entry in entries.into_iter().flatten() {
            let entry = entry.map_err(|error| io("read", &dir, &error))?;
            let name = entry.file_name();
            let number = name
                .to_str()
                .and_then(|name| name.strip_prefix("data-")?.strip_suffix(".key"))
                .and_then(|number| number.parse().ok())
                .filter(|number| number & SIV == 0);
            if let Some(number) = number {
                let file = entry.path();
                let key = DataKey::of(read(&file)?).ok_or(KeyError::Damaged { file })?;
                found.insert(number, key);
            }
        }
        if found.is_empty() {
            return Err(KeyError::Missing {
                file: dir.join("data-1.key"),
            });
        }
        Ok(Self {
            data: found,
            site: read(&dir.join("site.key"))?,
        })
    }

    /// The key files, for a backup: paths below the data folder.
    pub fn files(data: &Path) -> Result<Vec<PathBuf>, KeyError> {
        let dir = data.join("keys");
        let mut files: Vec<PathBuf> = std::fs::read_dir(&dir)
            .map_err(|error| io("read", &dir, &error))?
            .filter_map(Result::ok)
            .map(|entry| PathBuf::from("keys").join(entry.file_name()))
            .filter(|path| path.extension().is_some_and(|ext| ext == "key"))
            .collect();
        files.sort();
        Ok(files)
    }

    /// Seals a secret for one row, named by `aad` (`Owner::aad`). The nonce is derived from key, row
    /// and secret, so the same secret in the same row is the same bytes, and nothing else is.
    pub fn seal(&self, secret: &Secret, aad: &str) -> Result<Sealed, KeyError> {
        let (key_id, data) = self.data.last_key_value().ok_or(KeyError::UnknownKey(0))?;
        let text = secret.expose().as_bytes();
        let parts: [&[u8]; 4] = [b"dialtone nonce 2\0", aad.as_bytes(), b"\0", text];
        let mac = hmac(&data.key[..], &parts);
        let nonce = mac.first_chunk::<NONCE_LEN>().ok_or(KeyError::Forged)?;
        // The nonce goes before it and the tag behind: there is room, so that no copy of the text stays.
        let room = NONCE_LEN + text.len() + AES_256_GCM_SIV.tag_len();
        let mut bytes = Vec::with_capacity(room);
        bytes.extend_from_slice(nonce);
        bytes.extend_from_slice(text);
        let (_, body) = bytes.split_at_mut(NONCE_LEN);
        let (nonce, row) = (Nonce::assume_unique_for_key(*nonce), Aad::from(aad));
        let tag = data.siv.seal_in_place_separate_tag(nonce, row, body);
        let Ok(tag) = tag else {
            bytes.zeroize();
            return Err(KeyError::Forged);
        };
        bytes.extend_from_slice(tag.as_ref());
        Ok(Sealed {
            key_id: *key_id | SIV,
            bytes,
        })
    }

    /// Opens what [`Keys::seal`] sealed for the same row.
    pub fn open(&self, sealed: &Sealed, aad: &str) -> Result<Secret, KeyError> {
        let number = sealed.key_id & !SIV;
        let data = self.data.get(&number).ok_or(KeyError::UnknownKey(number))?;
        let text = if sealed.key_id & SIV == 0 {
            open_first(&data.key, &sealed.bytes, aad)?
        } else {
            let (nonce, body) = sealed.bytes.split_first_chunk().ok_or(KeyError::Forged)?;
            let (nonce, row) = (Nonce::assume_unique_for_key(*nonce), Aad::from(aad));
            let mut text = body.to_vec();
            let opened = data.siv.open_in_place(nonce, row, &mut text);
            let length = opened.map_err(|_| KeyError::Forged)?.len();
            text.truncate(length);
            text
        };
        String::from_utf8(text).map(Secret::new).map_err(|error| {
            error.into_bytes().zeroize();
            KeyError::Forged
        })
    }

    /// The token in a unit's provisioning URL, for one generation: 32 characters of `a-z2-7`.
    pub fn unit_token(&self, id: DeviceId, generation: u32) -> Secret {
        self.derive(b"dialtone unit token 1\0", id, generation)
    }

    /// The secret in a unit's report URL.
    pub fn report_secret(&self, id: DeviceId, generation: u32) -> Secret {
        self.derive(b"dialtone report secret 1\0", id, generation)
    }

    /// What the store finds a token by.
    pub fn digest_of(&self, secret: &Secret) -> Digest {
        Digest(Sha256::digest(secret.expose()).into())
    }

    fn derive(&self, use_: &[u8], id: DeviceId, generation: u32) -> Secret {
        let generation = generation.to_be_bytes();
        let mut mac = hmac(&self.site[..], &[use_, &id.0.to_be_bytes(), &generation]);
        let text = base32(mac.get(..TOKEN).unwrap_or_default());
        mac.zeroize();
        Secret::new(text)
    }
}

/// Opens a value of the first kind.
fn open_first(key: &[u8; KEY], sealed: &[u8], aad: &str) -> Result<Vec<u8>, KeyError> {
    let (nonce, msg) = sealed.split_at_checked(XNONCE).ok_or(KeyError::Forged)?;
    let payload = Payload {
        msg,
        aad: aad.as_bytes(),
    };
    let nonce = XNonce::try_from(nonce).map_err(|_| KeyError::Forged)?;
    XChaCha20Poly1305::new(key.into())
        .decrypt(&nonce, payload)
        .map_err(|_| KeyError::Forged)
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        // HMAC takes keys of every length.
        return [0; 32];
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// RFC 4648 section 6 in lower case; whole groups of five octets, so no padding.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: [char; 32] = [
        'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r',
        's', 't', 'u', 'v', 'w', 'x', 'y', 'z', '2', '3', '4', '5', '6', '7',
    ];
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for group in bytes.chunks(5) {
        let number = group
            .iter()
            .fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
        for shift in (0..8).rev() {
            let digit = usize::try_from(number >> (shift * 5) & 31).unwrap_or_default();
            text.extend(ALPHABET.get(digit));
        }
    }
    text
}

/// Makes the keys that are not there. A start that broke off goes on here.
fn make(dir: &Path, random: fn(&mut [u8]) -> bool) -> Result<(), KeyError> {
    if !dir.exists() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|error| io("make", dir, &error))?;
        if let Some(parent) = dir.parent() {
            home::sync_dir(parent).map_err(|error| told(dir, &error))?;
        }
    }
    for name in ["data-1.key", "site.key"] {
        let file = dir.join(name);
        if file.exists() {
            continue;
        }
        let mut key = Zeroizing::new([0_u8; KEY]);
        if !random(&mut key[..]) || key.iter().all(|byte| *byte == 0) {
            return Err(KeyError::NoRandom);
        }
        let text: Zeroizing<String> =
            Zeroizing::new(key.iter().map(|byte| format!("{byte:02x}")).collect());
        home::write_durably(&file, text.as_bytes(), 0o400).map_err(|error| told(&file, &error))?;
    }
    Ok(())
}

fn read(file: &Path) -> Result<Zeroizing<[u8; KEY]>, KeyError> {
    use std::os::unix::fs::MetadataExt as _;
    let about = match std::fs::metadata(file) {
        Ok(about) => about,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(KeyError::Missing {
                file: file.to_owned(),
            });
        }
        Err(error) => return Err(io("read", file, &error)),
    };
    if about.mode() & 0o077 != 0 {
        return Err(KeyError::Open {
            file: file.to_owned(),
            mode: about.mode() & 0o7777,
        });
    }
    let text = std::fs::read_to_string(file).map_err(|error| io("read", file, &error))?;
    let text = Zeroizing::new(text);
    let damaged = || KeyError::Damaged {
        file: file.to_owned(),
    };
    let hex = text.trim_end();
    if hex.len() != KEY * 2 || !hex.is_ascii() {
        return Err(damaged());
    }
    let mut key = Zeroizing::new([0_u8; KEY]);
    for (at, byte) in key.iter_mut().enumerate() {
        let digits = hex.get(at * 2..at * 2 + 2).ok_or_else(damaged)?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| damaged())?;
    }
    Ok(key)
}

fn io(doing: &'static str, file: &Path, error: &std::io::Error) -> KeyError {
    KeyError::Io {
        doing,
        file: file.to_owned(),
        why: error.to_string(),
    }
}

fn told(file: &Path, error: &super::StoreError) -> KeyError {
    KeyError::Io {
        doing: "write",
        file: file.to_owned(),
        why: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(bytes: &mut [u8]) -> bool {
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::try_from(at % 251).unwrap() + 1;
        }
        true
    }

    #[test]
    fn a_secret_opens_in_its_own_row_only() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::load(dir.path(), false, fill).unwrap();
        let secret = Secret::new("CANARY-1".to_owned());
        let sealed = keys
            .seal(&secret, "default/device/1/line.1.password")
            .unwrap();
        assert_eq!(
            sealed,
            keys.seal(&secret, "default/device/1/line.1.password")
                .unwrap()
        );
        assert!(!sealed.bytes.windows(6).any(|part| part == b"CANARY"));
        let opened = keys.open(&sealed, "default/device/1/line.1.password");
        assert!(opened.unwrap() == secret);
        assert_eq!(
            keys.open(&sealed, "default/device/2/line.1.password").err(),
            Some(KeyError::Forged)
        );
        for at in 0..sealed.bytes.len() {
            let mut changed = sealed.clone();
            changed.bytes[at] ^= 1;
            let opened = keys.open(&changed, "default/device/1/line.1.password");
            assert_eq!(opened.err(), Some(KeyError::Forged), "octet {at}");
        }
        for length in 0..sealed.bytes.len() {
            let mut cut = sealed.clone();
            cut.bytes.truncate(length);
            assert!(keys.open(&cut, "default/device/1/line.1.password").is_err());
        }
        for key_id in [2, 2 | SIV] {
            let other = Sealed {
                key_id,
                ..sealed.clone()
            };
            assert_eq!(keys.open(&other, "x").err(), Some(KeyError::UnknownKey(2)));
        }
        // Neither kind is taken for the other.
        let other = Sealed {
            key_id: 1,
            ..sealed
        };
        let opened = keys.open(&other, "default/device/1/line.1.password");
        assert_eq!(opened.err(), Some(KeyError::Forged));
    }

    #[test]
    fn a_value_of_the_first_kind_still_opens() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::load(dir.path(), false, fill).unwrap();
        let row = "default/device/1/line.1.password";
        let mut key = [0; KEY];
        assert!(fill(&mut key));
        let payload = Payload {
            msg: b"CANARY-1",
            aad: row.as_bytes(),
        };
        let cipher = XChaCha20Poly1305::new((&key).into());
        let mut bytes = vec![7; XNONCE];
        bytes.extend(cipher.encrypt(&[7; XNONCE].into(), payload).unwrap());
        let sealed = Sealed { key_id: 1, bytes };
        assert_eq!(keys.open(&sealed, row).unwrap().expose(), "CANARY-1");
        assert_eq!(keys.open(&sealed, "x").err(), Some(KeyError::Forged));
    }

    #[test]
    fn tokens_are_the_same_for_ever_and_tell_units_generations_and_uses_apart() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::load(dir.path(), false, fill).unwrap();
        let token = keys.unit_token(DeviceId(7), 1);
        let text = token.expose();
        assert_eq!(text.len(), 32);
        assert!(
            text.bytes()
                .all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b))
        );
        // The derivation is a promise: tokens are in phones.
        assert_eq!(text, "xedaniezrr747lohtg5kak2xqgk5xew3");
        assert!(keys.unit_token(DeviceId(7), 2) != token);
        assert!(keys.unit_token(DeviceId(8), 1) != token);
        assert!(keys.report_secret(DeviceId(7), 1) != token);
        assert_eq!(base32(b"fooba"), "mzxw6ytb");
        let again = Keys::load(dir.path(), true, |_| false).unwrap();
        assert!(again.unit_token(DeviceId(7), 1) == token);
    }

    #[test]
    fn a_key_that_is_gone_is_never_made_again() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            Keys::load(dir.path(), false, |_| false).err(),
            Some(KeyError::NoRandom)
        );
        drop(Keys::load(dir.path(), false, fill).unwrap());
        for name in ["site.key", "data-1.key"] {
            let file = dir.path().join("keys").join(name);
            let kept = std::fs::read(&file).unwrap();
            std::fs::remove_file(&file).unwrap();
            let error = Keys::load(dir.path(), true, fill).err();
            assert_eq!(error, Some(KeyError::Missing { file: file.clone() }));
            assert!(!file.exists());
            home::write_durably(&file, &kept, 0o400).unwrap();
        }
        assert!(Keys::load(dir.path(), true, fill).is_ok());
    }

    #[test]
    fn a_key_file_is_private_and_whole() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        drop(Keys::load(dir.path(), false, fill).unwrap());
        let file = dir.path().join("keys/site.key");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&file), 0o400);
        assert_eq!(mode(&dir.path().join("keys")), 0o700);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o444)).unwrap();
        assert!(matches!(
            Keys::load(dir.path(), true, fill),
            Err(KeyError::Open { .. })
        ));
        for damage in ["", "00", &"0".repeat(65), &"g".repeat(64), &"é".repeat(32)] {
            home::write_durably(&file, damage.as_bytes(), 0o400).unwrap();
            let error = Keys::load(dir.path(), true, fill).err();
            assert_eq!(
                error,
                Some(KeyError::Damaged { file: file.clone() }),
                "{damage}"
            );
        }
        assert_eq!(
            Keys::files(dir.path()).unwrap(),
            [
                PathBuf::from("keys/data-1.key"),
                PathBuf::from("keys/site.key")
            ]
        );
    }
}
