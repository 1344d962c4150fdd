//! Closing a connection so that its client gets to read the last bytes.
//!
//! A socket that is closed while bytes it received are unread is reset, and a reset makes the other
//! side's system throw away what it has received but not handed out: an ERROR frame would be lost
//! just when the client is in the middle of sending. So the writing side is closed first, and what
//! still comes is read and dropped, for a while.

use std::{io, time::Duration};

use paceline_runtime::{
    net::{OwnedReadHalf, OwnedWriteHalf},
    time,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long the client may take to close its side.
const LINGER: Duration = Duration::from_secs(2);

/// How much it may still send: the rest of the largest frame, if that was refused.
const MAX_BYTES: usize = 32 * 1024 * 1024;

pub(super) async fn close(mut reader: OwnedReadHalf, mut writer: OwnedWriteHalf) -> io::Result<()> {
    writer.shutdown().await?;
    let drop_the_rest = async {
        let mut scratch = vec![0; 8 * 1024];
        let mut dropped = 0;
        while dropped < MAX_BYTES {
            match reader.read(&mut scratch).await {
                Ok(0) | Err(_) => break,
                Ok(read) => dropped += read,
            }
        }
    };
    // Either way the client had its time.
    let _ = time::timeout(LINGER, drop_the_rest).await;
    Ok(())
}
