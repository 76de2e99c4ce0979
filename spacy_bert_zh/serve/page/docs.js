// Swagger UI on the OpenAPI document of the service that this page comes from.

const reply = await fetch("openapi.json", { cache: "no-store" });
const spec = await reply.json();
// Below whatever path a proxy has put the service.
spec.servers = [{ url: new URL(".", document.baseURI).href.replace(/\/$/, "") }];
globalThis.SwaggerUIBundle({ spec, dom_id: "#docs", deepLinking: true, validatorUrl: null });
