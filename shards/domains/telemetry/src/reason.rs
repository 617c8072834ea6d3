//! Why an event is rejected, and why bytes are not an event. The numbers are part of the protocol and never change.

use assize_domain::{InvalidEvent, reasons};

reasons! {
    /// Why an event was rejected, and changed nothing; or one line of a report refused.
    Reason {
        /// A sensor that was never configured.
        UnknownSensor = 1, "no such sensor";
        /// A reading that is no newer than the latest one taken: it comes out of order, or again.
        OutOfOrder = 2, "the reading's number is not above the latest one's";
        /// The current window counts as many readings as it can.
        WindowFull = 3, "the window has as many readings as can be counted";
        /// Windows of no length.
        ZeroWindow = 4, "the length of the windows is zero";
        /// Thresholds between which there is nothing to keep an alarm from flapping.
        ThresholdsMeet = 5, "the clear threshold is not below the raise threshold";
        /// A command that was never issued, or was collected.
        UnknownCommand = 6, "no such command";
        /// The command's id is taken.
        CommandExists = 7, "the command exists already";
        /// The command is for another sensor.
        OtherSensor = 8, "the command is for another sensor";
        /// A command that would be over as it is issued.
        ZeroTimeToLive = 9, "the time to live is zero";
        /// A command that would outlive every time there is.
        ExpiryTooFar = 10, "the command would expire beyond the end of stream time";
        /// As many open commands as a sensor may have.
        TooManyCommands = 11, "the sensor has 16 open commands";
        /// The command's time to live is over.
        CommandExpired = 12, "the command has expired";
        /// The command was handed to the device before.
        AlreadyDelivered = 13, "the command was delivered before";
        /// The device answered the command before.
        AlreadyAcknowledged = 14, "the command was acknowledged before";
        /// The command's time to live is not over.
        NotExpired = 15, "the command has not expired yet";
        /// The sensor may be silent for as long as it likes.
        NoSilenceLimit = 16, "the sensor has no silence limit";
        /// The sensor reported within its silence limit.
        NotSilent = 17, "the sensor was heard within its silence limit";
        /// The sensor is known to be silent.
        AlreadySilent = 18, "the sensor was found silent before";
    }
}

reasons! {
    /// Why bytes are not an event of this domain. Apart from [`Reason`]'s numbers, so that one number names one thing.
    Malformed {
        /// The event names a version of the layout that is not spoken here.
        UnknownVersion = 256, "the version of the event's layout is not 1";
        /// No such kind of event.
        UnknownKind = 257, "no such kind of event";
        /// The payload is not as long as its kind demands.
        WrongLength = 258, "the payload's length is not that of its kind";
        /// A reserved byte is set.
        ReservedNotZero = 259, "a reserved byte is not zero";
        /// No lines, or more than sixteen.
        BadLineCount = 260, "a report has 1 to 16 lines";
        /// A command's id where a sensor's must be.
        NotASensor = 261, "the id in a sensor's place is not a sensor's";
        /// A sensor's id where a command's must be.
        NotACommand = 262, "the id in a command's place is not a command's";
        /// Two lines of one sensor.
        SensorTwice = 263, "two lines of a report are of one sensor";
    }
}

impl From<Malformed> for InvalidEvent {
    fn from(malformed: Malformed) -> InvalidEvent {
        InvalidEvent { reason: malformed.number() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_to_their_reasons() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_number(reason.number()), Some(*reason));
            assert_eq!(Malformed::from_number(reason.number()), None);
        }
        for malformed in Malformed::ALL {
            assert_eq!(Malformed::from_number(malformed.number()), Some(*malformed));
        }
        assert_eq!((Reason::from_number(0), Reason::from_number(19)), (None, None));
    }
}
