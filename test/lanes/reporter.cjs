/** Mocha's spec reporter, closing with the one line that CI and people look for: `N passed, N failed`. */
const Mocha = require("mocha");

module.exports = class extends Mocha.reporters.Spec {
  epilogue() {
    super.epilogue();
    const { passes, failures } = this.stats;
    process.stdout.write(`${passes} passed, ${failures} failed\n`);
  }
};
