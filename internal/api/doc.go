// Package api answers over HTTP: JSON and CSV under /v1, problem documents
// (RFC 9457) for every failure, the OpenAPI document and its viewer, and the
// middleware that stands in front of everything the service serves.
package api
