pub mod gateway;
pub mod pb;
pub mod wire;
