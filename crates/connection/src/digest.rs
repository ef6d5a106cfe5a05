//! Challenges and their answers: `_create_response` and `_verify_challenge` of Python 3.12, and what 3.11 makes of them.
//!
//! ```text
//! challenge          {sha256} and 40 random bytes      3.11: 20 random bytes
//! answer             {sha256} and the digest           3.11: an MD5 digest, 16 bytes
//! ```
//!
//! The digest is a keyed one ([HMAC]) of the whole challenge, with what stands in braces, so that nobody on the way can choose
//! a weaker one. Python 3.11 takes a challenge of any length, and answers in its own way.
//!
//! [HMAC]: https://www.rfc-editor.org/rfc/rfc2104

use hmac::{Hmac, KeyInit, Mac, SimpleHmac};
use md5::Md5;
use sha2::{Sha256, Sha384};
use sha3::{Sha3_256, Sha3_384};

use crate::{HandshakeError, Key};

/// Length of Python 3.11's challenges, in bytes; also the least that is one.
const OLD_CHALLENGE: usize = 20;
/// Length of Python 3.11's answers, in bytes.
const OLD_ANSWER: usize = 16;
/// How many random bytes a challenge has.
const NONCE: usize = 40;

/// A digest that Python knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digest {
    Md5,
    Sha256,
    Sha384,
    Sha3_256,
    Sha3_384,
}

/// Calls `$call` with the digest's HMAC.
macro_rules! with_hmac {
    ($digest:expr, $key:expr, $message:expr, |$mac:ident| $call:expr) => {
        match $digest {
            Digest::Md5 => with_hmac!(@ Hmac<Md5>, $key, $message, |$mac| $call),
            Digest::Sha256 => with_hmac!(@ Hmac<Sha256>, $key, $message, |$mac| $call),
            Digest::Sha384 => with_hmac!(@ Hmac<Sha384>, $key, $message, |$mac| $call),
            Digest::Sha3_256 => with_hmac!(@ SimpleHmac<Sha3_256>, $key, $message, |$mac| $call),
            Digest::Sha3_384 => with_hmac!(@ SimpleHmac<Sha3_384>, $key, $message, |$mac| $call),
        }
    };
    (@ $Mac:ty, $key:expr, $message:expr, |$mac:ident| $call:expr) => {{
        // A key of any length is one.
        let mut $mac = <$Mac>::new_from_slice($key.bytes()).expect("a key of any length");
        $mac.update($message);
        $call
    }};
}

impl Digest {
    const ALL: [(&str, Self); 5] = [
        ("{md5}", Self::Md5),
        ("{sha256}", Self::Sha256),
        ("{sha384}", Self::Sha384),
        ("{sha3_256}", Self::Sha3_256),
        ("{sha3_384}", Self::Sha3_384),
    ];

    /// Takes the digest's name off the beginning of what came; `None` is as 3.11 says it.
    fn strip(came: &[u8]) -> Result<(Option<Self>, &[u8]), HandshakeError> {
        if [OLD_CHALLENGE, OLD_ANSWER].contains(&came.len()) {
            return Ok((None, came));
        }
        let named = Self::ALL.iter().find_map(|(name, digest)| {
            came.strip_prefix(name.as_bytes()).map(|rest| (Some(*digest), rest))
        });
        named.ok_or(HandshakeError::UnsupportedDigest)
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, digest)| *digest == self).map_or("", |(name, _)| name)
    }
}

/// Makes a challenge.
pub(crate) fn challenge() -> Result<Vec<u8>, getrandom::Error> {
    let mut challenge = Digest::Sha256.name().as_bytes().to_vec();
    let name = challenge.len();
    challenge.resize(name + NONCE, 0);
    getrandom::fill(&mut challenge[name..])?;
    Ok(challenge)
}

/// Answers a challenge; by MD5 as 3.11 only where that `may_be_old`.
pub(crate) fn answer(
    key: &Key,
    challenge: &[u8],
    may_be_old: bool,
) -> Result<Vec<u8>, HandshakeError> {
    if challenge.len() < OLD_CHALLENGE {
        return Err(HandshakeError::NotSpoken);
    }
    let digest = Digest::strip(challenge)?.0;
    if !may_be_old && matches!(digest, None | Some(Digest::Md5)) {
        return Err(HandshakeError::Legacy);
    }
    let mut answer = digest.map_or("", Digest::name).as_bytes().to_vec();
    with_hmac!(digest.unwrap_or(Digest::Md5), key, challenge, |mac| {
        answer.extend_from_slice(&mac.finalize().into_bytes());
    });
    Ok(answer)
}

/// Checks the answer to a challenge of ours, in a time that does not depend on how much of it is right.
pub(crate) fn verify(
    key: &Key,
    challenge: &[u8],
    answer: &[u8],
    may_be_old: bool,
) -> Result<(), HandshakeError> {
    let (digest, digits) = Digest::strip(answer)?;
    if !may_be_old && matches!(digest, None | Some(Digest::Md5)) {
        return Err(HandshakeError::Legacy);
    }
    let right = with_hmac!(digest.unwrap_or(Digest::Md5), key, challenge, |mac| {
        mac.verify_slice(digits).is_ok()
    });
    if right { Ok(()) } else { Err(HandshakeError::WrongDigest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(byte).collect()
    }

    /// Nonces and answers of Python 3.13 with the key `secret`.
    fn golden() -> Vec<(Vec<u8>, Vec<u8>)> {
        let nonce: Vec<u8> = (0..40).collect();
        let named = [
            ("{md5}", "e8928e8cca3ace2d777017168dc6a0b2"),
            ("{sha256}", "fc57fbe650d6124b98215e7b5d197d5807ad69982d275a9735ea2d56f1fa6989"),
            (
                "{sha384}",
                "bae78a3376369f7b803a8473318a9b7062495b47434159ac84fc92ddb33c51b277c44c3edd9a5f9cb7d628f21abe2665",
            ),
            ("{sha3_256}", "82e8fa62f363295b6655abecf0e98e510224c559e9745af9741c357aec358f90"),
            (
                "{sha3_384}",
                "bfbe71d4e622f58ebf6cbe049af4c8fe518645b482915af0940d678c37c0b46dd1a2a448f9ee5141c91bba42b46a7862",
            ),
        ];
        let named = named.map(|(name, digits)| {
            ([name.as_bytes(), &nonce].concat(), [name.as_bytes(), &bytes(digits)].concat())
        });
        let mut all = named.to_vec();
        all.push((nonce[..20].to_vec(), bytes("7defa9cc46abc3583325d17ccda75190")));
        all
    }

    #[test]
    fn aut_01_09_challenges_are_answered_as_python_does() {
        let key = Key::new("secret");
        for (challenge, expected) in golden() {
            let made = answer(&key, &challenge, true).unwrap();
            assert_eq!(made, expected, "{}", String::from_utf8_lossy(&challenge));
            verify(&key, &challenge, &expected, true).unwrap();
            for at in [expected.len() - 1, expected.len() - 16] {
                let mut wrong = expected.clone();
                wrong[at] ^= 1;
                let error = verify(&key, &challenge, &wrong, true).unwrap_err();
                assert!(matches!(error, HandshakeError::WrongDigest));
            }
            let other = Key::new("Secret");
            assert!(verify(&other, &challenge, &expected, true).is_err());
        }
    }

    #[test]
    fn aut_11_a_challenge_of_ours_is_answered_by_python_3_11_with_md5_of_all_of_it() {
        let (key, challenge) = (Key::new("secret"), challenge().unwrap());
        assert_eq!(challenge.len(), 48);
        let mut mac = Hmac::<Md5>::new_from_slice(b"secret").unwrap();
        mac.update(&challenge);
        let old = mac.finalize().into_bytes();
        verify(&key, &challenge, &old, true).unwrap();
        assert!(matches!(verify(&key, &challenge, &old, false), Err(HandshakeError::Legacy)));
        assert!(matches!(answer(&key, &[7; 20], false), Err(HandshakeError::Legacy)));
    }

    #[test]
    fn aut_12_other_digests_and_lengths_are_refused() {
        let key = Key::new("secret");
        let nonce = "x".repeat(40);
        for name in ["", "{sha1}", "{sha512}", "{sha256", "{}", "{SHA256}", "{ sha256}"] {
            let challenge = format!("{name}{nonce}");
            let error = answer(&key, challenge.as_bytes(), true).unwrap_err();
            assert!(matches!(error, HandshakeError::UnsupportedDigest), "{name}");
            assert!(verify(&key, b"x", challenge.as_bytes(), true).is_err());
        }
        assert!(matches!(answer(&key, &[0; 19], true), Err(HandshakeError::NotSpoken)));
        // A digest of the right name and another's length.
        let (challenge, right) = &golden()[1];
        assert!(verify(&key, challenge, &right[..right.len() - 1], true).is_err());
        assert!(verify(&key, challenge, b"{sha256}", true).is_err());
    }

    #[test]
    fn no_challenge_is_made_twice() {
        assert_ne!(challenge().unwrap(), challenge().unwrap());
    }
}
