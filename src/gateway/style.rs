//! How JSON is written and read: one row for each dialect, chosen by the package of the service.
