// SPDX-License-Identifier: Apache-2.0
// What every role carries.
export { type AdminOptions, createAdminApp, type MetricsSource } from './admin/admin-app.ts'
export { errorResponse } from './admin/error-response.ts'
export { HttpServer, type HttpServerOptions } from './http-server.ts'
