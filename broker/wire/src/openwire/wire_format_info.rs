//! The first frame of each side.

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    Fault,
    error::Located,
    field::{Field, Fields, put_sized},
    primitives::{self, Primitive, PrimitiveLimits},
    reader::Reader,
};
use crate::text::Text;

const MAGIC: &[u8] = b"ActiveMQ";

/// ActiveMQ since 5.18 takes no more of them and no maps within.
const LIMITS: PrimitiveLimits = PrimitiveLimits { max_entries: 64, max_depth: 0 };

/// What one side can and wants. Both send it at once; each flag holds if both set it, and of each
/// number the smaller one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WireFormatInfo {
    /// The highest version that the sender speaks.
    pub version: i32,
    /// `TightEncodingEnabled`: booleans and lengths are packed. The codec does not speak it.
    pub tight_encoding: bool,
    /// `CacheEnabled`: what repeats is sent as a number. The codec does not speak it.
    pub cache: bool,
    /// `StackTraceEnabled`: exceptions come with their stacks. The codec does not speak it.
    pub stack_trace: bool,
    /// `SizePrefixDisabled`: frames come without their size. The codec does not speak it.
    pub size_prefix_disabled: bool,
    /// `TcpNoDelayEnabled`.
    pub tcp_no_delay: bool,
    /// `MaxFrameSizeEnabled`: whether the sender refuses frames larger than `max_frame_size`.
    pub max_frame_size_enabled: bool,
    /// `MaxFrameSize`, in bytes.
    pub max_frame_size: Option<i64>,
    /// `CacheSize`: how many values the cache remembers.
    pub cache_size: Option<i32>,
    /// `MaxInactivityDuration`, in milliseconds: who hears nothing for so long closes. 0 for never.
    pub max_inactivity: Option<i64>,
    /// `MaxInactivityDurationInitalDelay`, in milliseconds: how long the sender waits for the
    /// first frame.
    pub max_inactivity_initial_delay: Option<i64>,
    /// `Host`: the host that the client connected to, as it calls it.
    pub host: Option<Text>,
    /// `ProviderName`, such as `ActiveMQ`.
    pub provider_name: Option<Text>,
    /// `ProviderVersion`.
    pub provider_version: Option<Text>,
    /// `PlatformDetails`.
    pub platform_details: Option<Text>,
}

impl WireFormatInfo {
    pub(super) const CODE: u8 = 1;
    pub(super) const NAME: &'static str = "WireFormatInfo";
}

macro_rules! properties {
    ($($key:literal $field:ident $kind:ident,)*) => {
        impl WireFormatInfo {
            /// Takes one property in; one of an unknown name counts for nothing.
            fn set(&mut self, key: &str, value: Primitive) -> Result<(), Located> {
                match key {
                    $($key => properties!(@set self.$field, $kind, value),)*
                    _ => {}
                }
                Ok(())
            }

            fn properties(&self) -> Vec<(Text, Primitive)> {
                let mut properties = Vec::new();
                $(properties.extend(
                    properties!(@get self.$field, $kind)
                        .map(|value| (Text::from_static($key), value)),
                );)*
                properties
            }
        }
    };
    (@set $self:ident.$field:ident, Flag, $value:ident) => {
        $self.$field = match $value {
            Primitive::Null => false,
            Primitive::Bool(flag) => flag,
            _ => return Err(Located::from(Fault::WrongPropertyType).at(properties!(@name $field))),
        }
    };
    (@set $self:ident.$field:ident, $Kind:ident, $value:ident) => {
        $self.$field = match $value {
            Primitive::Null => None,
            Primitive::$Kind(value) => Some(value),
            _ => return Err(Located::from(Fault::WrongPropertyType).at(properties!(@name $field))),
        }
    };
    (@get $self:ident.$field:ident, Flag) => { Some(Primitive::Bool($self.$field)) };
    (@get $self:ident.$field:ident, $Kind:ident) => { $self.$field.clone().map(Primitive::$Kind) };
    (@name $field:ident) => { concat!("WireFormatInfo.", stringify!($field)) };
}

// The client casts each value to the type named here.
properties! {
    "TightEncodingEnabled" tight_encoding Flag,
    "CacheEnabled" cache Flag,
    "StackTraceEnabled" stack_trace Flag,
    "SizePrefixDisabled" size_prefix_disabled Flag,
    "TcpNoDelayEnabled" tcp_no_delay Flag,
    "MaxFrameSizeEnabled" max_frame_size_enabled Flag,
    "MaxFrameSize" max_frame_size Long,
    "CacheSize" cache_size Int,
    "MaxInactivityDuration" max_inactivity Long,
    "MaxInactivityDurationInitalDelay" max_inactivity_initial_delay Long,
    "Host" host Text,
    "ProviderName" provider_name Text,
    "ProviderVersion" provider_version Text,
    "PlatformDetails" platform_details Text,
}

impl Fields for WireFormatInfo {
    fn read_fields(reader: &mut Reader) -> Result<Self, Located> {
        let magic = reader.bytes(MAGIC.len()).map_err(|e| Located::from(e).at("magic"))?;
        if magic != MAGIC {
            return Err(Located::from(Fault::BadMagic).at("magic"));
        }
        let version = Field::read(reader).map_err(|error| error.at("version"))?;
        let mut info = Self { version, ..Self::default() };
        let properties = Option::<Bytes>::read(reader).map_err(|error| error.at("properties"))?;
        if let Some(properties) = properties {
            let entries = primitives::read_map(&properties, LIMITS)
                .map_err(|fault| Located::from(fault).at("properties"))?;
            for (key, value) in entries {
                info.set(&key, value)?;
            }
        }
        Ok(info)
    }

    fn write_fields(&self, version: i32, out: &mut BytesMut) {
        out.put_slice(MAGIC);
        self.version.write(version, out);
        out.put_u8(1);
        put_sized(out, |out| primitives::write_map(&self.properties(), out));
    }
}
