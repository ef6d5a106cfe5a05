//! Sweeping up the segments that no living process uses
