//! `countersign.v1.Simulator`.

use super::call::close;
use super::status;
use crate::app::App;
use crate::pb::countersign::v1::{
    BatchSimulateRequest, BatchSimulateResponse, SimulateRequest, SimulateResponse, WhoCanApproveRequest,
    WhoCanApproveResponse, simulator_server::Simulator,
};
use futures_util::stream;
use std::sync::Arc;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

/// Says what policies would do.
#[derive(Debug)]
pub struct SimulatorService {
    app: Arc<App>,
}

impl SimulatorService {
    /// A service over `app`.
    pub fn new(app: Arc<App>) -> Self {
        SimulatorService { app }
    }
}

#[tonic::async_trait]
impl Simulator for SimulatorService {
    async fn simulate(
        &self,
        request: Request<SimulateRequest>,
    ) -> Result<Response<SimulateResponse>, Status> {
        close(self.app.simulate(request.into_inner()).await)
    }

    async fn batch_simulate(
        &self,
        request: Request<BatchSimulateRequest>,
    ) -> Result<Response<BoxStream<BatchSimulateResponse>>, Status> {
        let batch =
            self.app.batch_simulate(request.into_inner()).await.map_err(|error| status::of(&error))?;
        let answers = stream::unfold(batch, |mut batch| async {
            let answer = batch.next().await?;
            Some((answer.map_err(|error| status::of(&error)), batch))
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn who_can_approve(
        &self,
        request: Request<WhoCanApproveRequest>,
    ) -> Result<Response<WhoCanApproveResponse>, Status> {
        close(self.app.who_can_approve(request.into_inner()).await)
    }
}
