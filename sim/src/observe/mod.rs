//! What watches a run: [`recorder`] is told everything that happens, by the clients and by the nodes'
//! events, and asks the checks; [`meter`] counts what each node bore, [`wounds`] which nodes have lost
//! records, [`exits`] which ended by themselves, [`downtime`] how long they were not there, [`movement`] which
//! copies of shards were filled. [`heard`] is what the nodes said, where a diagram is to be made of it. [`outcome`] is what all of that comes to. [`waiting`] and [`missed`] tell what stood in the way where something did not come to pass.

pub mod downtime;
pub mod exits;
pub mod heard;
pub mod meter;
pub mod missed;
pub mod movement;
pub mod outcome;
pub mod recorder;
pub mod waiting;
pub mod wounds;

pub use outcome::Outcome;
pub use recorder::Options;
