//! `assizectl rejoin`: brings back a replica whose disk was lost (R3). It formats an empty data directory as that of a
//! replica that has no vote, with what the cluster agreed on, and says what happens next.
//!
//! | file | is |
//! |---|---|
//! | `mod.rs` | what is agreed, and the formatted directory |
//! | `others.rs` | what the other replicas say before, and while the replica comes back |

mod others;

use std::fs;
use std::path::Path;

use assize_device::DeviceOptions;
use assize_node::agreed::Agreed;
use assize_setup::config::ConfigFile;
use assize_setup::{AgreedFile, NewDisk, allowed_cpus, format};
use serde_json::{Value, json};

use crate::agreed::agreed_in;
use crate::cli::RejoinCommand;
use crate::exit::{Ended, Exit};
use crate::print::Printer;
use others::Others;

/// A replica that is not gone, or is of another cluster, ends it with [`Exit::No`].
pub(crate) fn rejoin(command: &RejoinCommand, printer: &mut Printer<'_>) -> Result<Exit, Ended> {
    let file = ConfigFile::load(&command.config).map_err(Ended::Config)?;
    let agreed = agreed(command)?;
    let others = match command.http.is_empty() {
        true => None,
        false => Some(Others::at(&command.http, file.config.replica, &agreed)?),
    };
    if command.watch && file.config.listen.http.is_none() {
        let path = command.config.display();
        return Err(Ended::Usage(format!("--watch: {path} has no [listen] http, where others could ask it")));
    }
    if let Some(others) = &others {
        others.check_that_it_is_gone()?;
    }
    format(&file, &agreed, NewDisk::Rejoins, &allowed_cpus(), &DeviceOptions::default())?;
    let told = formatted(command, &file, &agreed);
    printer.answer(&told, || text(&told, command))?;
    printer.finish()?;
    match others {
        Some(others) if command.watch => others.watch(printer),
        _ => Ok(Exit::Success),
    }
}

/// From another replica's directory, or from a file.
fn agreed(command: &RejoinCommand) -> Result<Agreed, Ended> {
    match (&command.from, &command.agreed) {
        (Some(data), _) => agreed_in(data),
        (None, Some(file)) => {
            let text = fs::read_to_string(file).map_err(|error| unreadable(file, error))?;
            AgreedFile::parse(&text).map_err(|error| Ended::AgreedFile(file.clone(), error))
        }
        (None, None) => Err(Ended::Usage("--from DIR or --agreed FILE says what is agreed".to_owned())),
    }
}

fn unreadable(file: &Path, error: std::io::Error) -> Ended {
    Ended::Usage(format!("--agreed {}: {error}", file.display()))
}

fn formatted(command: &RejoinCommand, file: &ConfigFile, agreed: &Agreed) -> Value {
    json!({
        "replica": file.config.replica,
        "cluster": agreed.cluster.to_string(),
        "data_directory": file.config.data_directory,
        "config": command.config,
        "others_needed": agreed.replicas / 2 + 1,
    })
}

fn text(told: &Value, command: &RejoinCommand) -> String {
    let replica = &told["replica"];
    let (cluster, needed) = (super::remote::shown(&told["cluster"]), &told["others_needed"]);
    let data = super::remote::shown(&told["data_directory"]);
    let then = match command.watch {
        true => "",
        false => "\n`assizectl status` shows it as rejoining until then.",
    };
    format!(
        "replica {replica} of cluster {cluster} is formatted to rejoin, in {data}\n\
         Start it now: assize serve --config {}, or its service. Keep the others up: it has no vote, and counts as down, until\n\
         {needed} of them have told it what it may have promised and accepted, and all of that is here.{then}\n\
         The disk that was lost must never be used again.",
        command.config.display()
    )
}
