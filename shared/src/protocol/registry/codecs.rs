//! How a component becomes bytes: by serde, in quanta, or by a game's own functions.

use crate::limits::COMPONENT_BYTES_MAX;
use crate::protocol::codec::{self, CodecError};
use crate::protocol::shape;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Encodes and decodes one component type.
///
/// Runs on net workers and on clients: the bytes may depend on the value alone. Bytes come from a peer, so
/// decoding must return a value or an error, without a panic and without allocating much more than their
/// size.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not encode `{T}`",
    label = "no codec of `{T}`",
    note = "for `Delta::<N>` write `impl From<&{T}> for [f32; N]` and `impl From<[f32; N]> for {T}`; for any other format use `Custom {{ name, encode, decode }}`"
)]
pub trait ComponentCodec<T>: Send + Sync + 'static {
    /// Returns a name that is part of the protocol's hash: whatever changes the format must change the name.
    fn name(&self) -> String;

    /// Appends the value to `out`. A value longer than [`COMPONENT_BYTES_MAX`] is not sent.
    ///
    /// # Errors
    /// [`CodecError`], when the value cannot be encoded; it is not sent then.
    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Decodes a value that takes all of `bytes`.
    ///
    /// # Errors
    /// [`CodecError`], when the bytes are not a value.
    fn decode(&self, bytes: &[u8]) -> Result<T, CodecError>;

    /// Returns how many whole numbers form each encoded value, each an `i32` in the format
    /// of [`codec`](crate::protocol::codec), and nothing else. Such values are sent as differences to those
    /// that the client has. 0 unless implemented: the encoded value is any bytes.
    fn numbers(&self) -> usize {
        0
    }

    /// Returns whether every decoded value is encoded to the same bytes again. The server says once if it is not so. False
    /// unless implemented, as for a format that rounds.
    fn is_exact(&self) -> bool {
        false
    }

    /// Returns values made up to find out whether a value's bytes depend on more than the value, such as the order in
    /// which a `HashMap` iterates. None unless implemented.
    fn examples(&self) -> Vec<T> {
        Vec::new()
    }
}

/// serde and bincode: the codec that [`replicate`](super::ProtocolAppExt::replicate) uses. Its name contains the shape of
/// the type.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serde;

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> ComponentCodec<T> for Serde {
    fn name(&self) -> String {
        format!("serde {}", shape::describe::<T>())
    }

    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        codec::encode_into(value, out).map(drop)
    }

    fn decode(&self, bytes: &[u8]) -> Result<T, CodecError> {
        codec::decode_exact(bytes)
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn examples(&self) -> Vec<T> {
        shape::examples()
    }
}

/// A format of the game's own, given by two functions.
///
/// ```
/// # use bevy_app::App;
/// # use bevy_ecs::prelude::Component;
/// # use throng_shared::protocol::registry::{Custom, ProtocolAppExt};
/// #[derive(Component, Clone)]
/// struct Health(f32);
///
/// # let mut app = App::new();
/// app.replicate_with(Custom {
///     name: "percent",
///     encode: |health: &Health, out| out.push((health.0.clamp(0.0, 1.0) * 100.0).round() as u8),
///     decode: |bytes| match bytes {
///         [percent @ 0..=100] => Some(Health(f32::from(*percent) / 100.0)),
///         _ => None,
///     },
/// });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Custom<T> {
    /// Name of the format in the protocol's hash: it must change when the format does.
    pub name: &'static str,
    /// Appends the value to the bytes.
    pub encode: fn(&T, &mut Vec<u8>),
    /// Decodes a value that takes all the bytes; `None` when they are not a value.
    pub decode: fn(&[u8]) -> Option<T>,
}

impl<T: 'static> ComponentCodec<T> for Custom<T> {
    fn name(&self) -> String {
        format!("custom {}", self.name)
    }

    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        (self.encode)(value, out);
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<T, CodecError> {
        (self.decode)(bytes).ok_or(CodecError::Invalid)
    }
}

/// The codec of components that are a few numbers (`[f32; N]` into and out of them), in whole steps.
///
/// For each number, an update contains the difference, in steps, from the value that the client acknowledged. A
/// difference of 0 takes one bit; any other takes about two bits more than the difference has. The numbers
/// themselves are sent in an enter and where they are shorter than the differences. They are always sent for a
/// component with more than [`COMPONENT_NUMBERS_MAX`](crate::limits::COMPONENT_NUMBERS_MAX) numbers.
///
/// ```
/// # use bevy_app::App;
/// # use bevy_ecs::prelude::Component;
/// # use throng_shared::protocol::registry::{Delta, ProtocolAppExt};
/// #[derive(Component, Clone)]
/// struct Turret {
///     yaw: f32,
///     pitch: f32,
/// }
/// impl From<&Turret> for [f32; 2] {
///     fn from(turret: &Turret) -> Self {
///         [turret.yaw, turret.pitch]
///     }
/// }
/// impl From<[f32; 2]> for Turret {
///     fn from([yaw, pitch]: [f32; 2]) -> Self {
///         Self { yaw, pitch }
///     }
/// }
///
/// # let mut app = App::new();
/// app.replicate_with::<Turret>(Delta::<2>::quantized(0.01));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Delta<const N: usize> {
    step: f32,
}

impl<const N: usize> Delta<N> {
    /// Creates a codec in steps of `step`, rounded to nearest. Values beyond 2^31 steps saturate; NaN becomes
    /// 0.
    ///
    /// # Panics
    /// Panics when `step` is not a positive finite number.
    #[must_use]
    pub fn quantized(step: f32) -> Self {
        assert!(
            step.is_finite() && step > 0.0,
            "a step must be positive, not {step}"
        );
        Self { step }
    }
}

#[diagnostic::do_not_recommend]
impl<T, const N: usize> ComponentCodec<T> for Delta<N>
where
    T: From<[f32; N]>,
    for<'a> [f32; N]: From<&'a T>,
{
    fn name(&self) -> String {
        format!("{N} in {:08x}", self.step.to_bits())
    }

    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        for number in <[f32; N]>::from(value) {
            // Accepts any float: the conversion saturates, and turns NaN into 0.
            let steps = (f64::from(number) / f64::from(self.step)).round() as i32;
            codec::encode_into(&steps, out)?;
        }
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<T, CodecError> {
        let (mut numbers, mut used) = ([0.0; N], 0);
        for number in &mut numbers {
            let (steps, length) = codec::decode::<i32>(&bytes[used..])?;
            *number = (f64::from(steps) * f64::from(self.step)) as f32;
            used += length;
        }
        match bytes.len() - used {
            0 => Ok(numbers.into()),
            left => Err(CodecError::Trailing(left)),
        }
    }

    fn numbers(&self) -> usize {
        N
    }
}

/// Encodes within the bytes that one component may have; `out` is unchanged after an error.
pub(super) fn encode_bounded<T>(
    codec: &impl ComponentCodec<T>,
    value: &T,
    out: &mut Vec<u8>,
) -> Result<usize, CodecError> {
    let start = out.len();
    let encoded = codec.encode(value, out);
    let bytes = out.len() - start;
    let result = match encoded {
        Ok(()) if bytes <= COMPONENT_BYTES_MAX => return Ok(bytes),
        Ok(()) => CodecError::TooLong {
            bytes,
            max: COMPONENT_BYTES_MAX,
        },
        Err(error) => error.within(COMPONENT_BYTES_MAX),
    };
    out.truncate(start);
    Err(result)
}
