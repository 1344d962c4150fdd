//! What turns the tables of structures and commands into types that are read and written.

/// A type of `{ field: Type [VERSIONS], … }` in the order of the wire. A field without versions is
/// in all of them; one that the version at hand does not have is read as its default. What follows
/// after `besides` is in the type and has no place among the fields.
macro_rules! fields {
    (
        $(#[$meta:meta])*
        $Name:ident {
            $($(#[$field_meta:meta])* $field:ident: $Type:ty $([$versions:expr])?,)*
        }
        $(besides { $($(#[$beside_meta:meta])* $beside:ident: $Beside:ty,)* })?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[allow(missing_docs, reason = "a field without words is what ActiveMQ calls by that name")]
        pub struct $Name {
            $($($(#[$beside_meta])* pub $beside: $Beside,)*)?
            $($(#[$field_meta])* pub $field: $Type,)*
        }

        impl $crate::openwire::field::Fields for $Name {
            #[allow(unused_variables, reason = "some have no fields")]
            fn read_fields(
                reader: &mut $crate::openwire::reader::Reader,
            ) -> Result<Self, $crate::openwire::error::Located> {
                Ok(Self {
                    $($($beside: Default::default(),)*)?
                    $($field: if true $(&& ($versions).contains(&reader.version))? {
                        $crate::openwire::field::Field::read(reader).map_err(|error| {
                            error.at(concat!(stringify!($Name), ".", stringify!($field)))
                        })?
                    } else {
                        Default::default()
                    },)*
                })
            }

            #[allow(unused_variables, reason = "some have no fields")]
            fn write_fields(&self, version: i32, out: &mut bytes::BytesMut) {
                $(if true $(&& ($versions).contains(&version))? {
                    $crate::openwire::field::Field::write(&self.$field, version, out);
                })*
            }
        }

        #[cfg(test)]
        impl $crate::openwire::tests::Sample for $Name {
            fn sample(source: &mut $crate::openwire::tests::Source) -> Self {
                Self {
                    $($($beside: Default::default(),)*)?
                    $($field: if true $(&& ($versions).contains(&source.version))? {
                        $crate::openwire::tests::Sample::sample(source)
                    } else {
                        Default::default()
                    },)*
                }
            }
        }
    };
}

/// Structures of one type each: `TYPE Name { … }`, see `fields`.
macro_rules! structures {
    ($(
        $(#[$meta:meta])*
        $code:literal $Name:ident { $($fields:tt)* }
    )*) => {$(
        $crate::openwire::macros::fields! { $(#[$meta])* $Name { $($fields)* } }

        impl $Name {
            /// Its type on the wire.
            pub const CODE: u8 = $code;
        }

        impl $crate::openwire::field::Structure for $Name {
            const EXPECTED: &'static str = stringify!($Name);

            fn code(&self) -> u8 {
                Self::CODE
            }

            fn read_as(
                code: u8,
                reader: &mut $crate::openwire::reader::Reader,
            ) -> Result<Self, $crate::openwire::error::Located> {
                if code != Self::CODE {
                    return Err($crate::openwire::Fault::WrongType {
                        expected: Self::EXPECTED,
                        found: code,
                    }.into());
                }
                $crate::openwire::field::Fields::read_fields(reader)
            }

            fn write(&self, version: i32, out: &mut bytes::BytesMut) {
                $crate::openwire::field::Fields::write_fields(self, version, out);
            }
        }
    )*};
}

/// Commands: structures that begin with a command id and whether a response is asked for, and
/// [`super::Command`], which is any of them. `TYPE Name(HELD) { … }`: HELD is what the enum holds.
macro_rules! commands {
    ($(
        $(#[$meta:meta])*
        $code:literal $Name:ident($Held:ty) {
            $($(#[$field_meta:meta])* $field:ident: $Type:ty $([$versions:expr])?,)*
        }
    )*) => {
        $crate::openwire::macros::structures! {$(
            $(#[$meta])*
            $code $Name {
                /// The sender's number of the command.
                command_id: i32,
                /// Whether the receiver is to answer.
                response_required: bool,
                $($(#[$field_meta])* $field: $Type $([$versions])?,)*
            }
        )*}

        /// What a frame holds.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Command {
            /// The first frame of each side.
            WireFormatInfo(Box<WireFormatInfo>),
            /// A message that a client sends.
            Message(Box<Message>),
            $($(#[$meta])* $Name($Held),)*
        }

        impl Command {
            /// The sender's number of the command. A [`WireFormatInfo`] has none.
            pub fn command_id(&self) -> Option<i32> {
                match self {
                    Command::WireFormatInfo(_) => None,
                    Command::Message(message) => Some(message.command_id),
                    $(Command::$Name(command) => Some(command.command_id),)*
                }
            }

            /// Whether the receiver is to answer.
            pub fn response_required(&self) -> bool {
                match self {
                    Command::WireFormatInfo(_) => false,
                    Command::Message(message) => message.response_required,
                    $(Command::$Name(command) => command.response_required,)*
                }
            }

            /// Gives the command a number, and says whether the receiver is to answer. A
            /// [`WireFormatInfo`] has neither.
            pub fn set_number(&mut self, command_id: i32, response_required: bool) {
                let (number, required) = match self {
                    Command::WireFormatInfo(_) => return,
                    Command::Message(it) => (&mut it.command_id, &mut it.response_required),
                    $(Command::$Name(it) => (&mut it.command_id, &mut it.response_required),)*
                };
                (*number, *required) = (command_id, response_required);
            }

            /// What the protocol calls it.
            pub fn name(&self) -> &'static str {
                match self {
                    Command::WireFormatInfo(_) => WireFormatInfo::NAME,
                    Command::Message(message) => message.kind.name(),
                    $(Command::$Name(_) => stringify!($Name),)*
                }
            }

            /// What the protocol calls the command of a type, if there is one.
            pub(super) fn name_of(code: u8) -> Option<&'static str> {
                match code {
                    WireFormatInfo::CODE => Some(WireFormatInfo::NAME),
                    $($code => Some(stringify!($Name)),)*
                    _ => MessageKind::of(code).map(MessageKind::name),
                }
            }

            /// Reads the fields of a command of this type, if there is one.
            pub(super) fn read(
                code: u8,
                reader: &mut $crate::openwire::reader::Reader,
            ) -> Option<Result<Self, $crate::openwire::error::Located>> {
                use $crate::openwire::field::Fields;
                Some(match code {
                    WireFormatInfo::CODE => {
                        Fields::read_fields(reader).map(Command::WireFormatInfo)
                    }
                    $($code => Fields::read_fields(reader).map(Command::$Name),)*
                    _ => Message::read_kind(MessageKind::of(code)?, reader)
                        .map(Command::from),
                })
            }

            /// Its type on the wire.
            pub(super) fn code(&self) -> u8 {
                match self {
                    Command::WireFormatInfo(_) => WireFormatInfo::CODE,
                    Command::Message(message) => message.kind.code(),
                    $(Command::$Name(_) => $code,)*
                }
            }

            pub(super) fn write_fields(&self, version: i32, out: &mut bytes::BytesMut) {
                use $crate::openwire::field::{Fields, Structure};
                match self {
                    Command::WireFormatInfo(info) => info.write_fields(version, out),
                    Command::Message(message) => Structure::write(message, version, out),
                    $(Command::$Name(command) => command.write_fields(version, out),)*
                }
            }
        }

        #[cfg(test)]
        impl $crate::openwire::tests::Sample for Command {
            fn sample(source: &mut $crate::openwire::tests::Source) -> Self {
                use $crate::openwire::tests::Sample;
                const COMMANDS: &[fn(&mut $crate::openwire::tests::Source) -> Command] = &[
                    |source| WireFormatInfo::sample(source).into(),
                    |source| Command::Message(Sample::sample(source)),
                    $(|source| Command::$Name(Sample::sample(source)),)*
                ];
                COMMANDS[source.below(COMMANDS.len())](source)
            }
        }

        impl From<WireFormatInfo> for Command {
            fn from(info: WireFormatInfo) -> Self {
                Command::WireFormatInfo(Box::new(info))
            }
        }

        impl From<Message> for Command {
            fn from(message: Message) -> Self {
                Command::Message(Box::new(message))
            }
        }

        $(impl From<$Name> for Command {
            fn from(command: $Name) -> Self {
                Command::$Name(command.into())
            }
        })*
    };
}

pub(super) use {commands, fields, structures};
