// Builds what the interop tests need, for .ci/run to do beside its other checks.
import './cargo-build.ts'
import './go-build.ts'
