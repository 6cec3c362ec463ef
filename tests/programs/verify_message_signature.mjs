// Verifies the HTTP Message Signature (RFC 9421) of a request that stands on the standard input as JSON, with the package http-message-signatures.
// Arguments: a file with the key, and the algorithm. Prints true or false.
import { createPublicKey, createSecretKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// Of the folder in which this runs: bench/, where the packages are.
const { createVerifier, httpbis } = createRequire(pathToFileURL(process.cwd() + "/"))("http-message-signatures");
const [file, algorithm] = process.argv.slice(2);
const key = algorithm === "hmac-sha256" ? createSecretKey(readFileSync(file)) : createPublicKey(readFileSync(file));
const request = JSON.parse(readFileSync(0, "utf8"));
const verified = await httpbis
  .verifyMessage({ keyLookup: async () => ({ id: "shop", algs: [algorithm], verify: createVerifier(key, algorithm) }) }, request)
  .catch((error) => (console.error(error.message), false));
console.log(verified === true);
