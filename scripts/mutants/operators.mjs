/**
 * The changes that make a mutant: one place in the syntax tree, one other text for it. Texts for people (strings with a space,
 * templates, what goes into a new error) are left alone.
 */
import ts from "typescript";

/** What may take the place of an operator. */
const OTHER_OPERATORS = {
  "<": ["<=", ">="],
  "<=": ["<", ">"],
  ">": [">=", "<="],
  ">=": [">", "<"],
  "===": ["!=="],
  "!==": ["==="],
  "+": ["-"],
  "-": ["+"],
  "*": ["/"],
  "/": ["*"],
  "%": ["*"],
  "**": ["*"],
  "<<": [">>"],
  ">>": ["<<"],
  ">>>": ["<<"],
  "&": ["|"],
  "|": ["&"],
  "^": ["&"],
  "&&": ["||"],
  "||": ["&&"],
  "+=": ["-=", "="],
  "-=": ["+="],
  "*=": ["/=", "="],
  "/=": ["*="],
  "++": ["--"],
  "--": ["++"],
};
const OTHER_METHODS = {
  min: ["max"],
  max: ["min"],
  floor: ["ceil"],
  ceil: ["floor"],
  round: ["floor"],
  some: ["every"],
  every: ["some"],
  startsWith: ["endsWith"],
  endsWith: ["startsWith"],
};
/** Calls that leave their receiver of the same type, so that it can stand alone. */
const PASSING = new Set(["toSorted", "filter", "slice", "toReversed", "trim", "trimEnd", "toLowerCase", "subarray"]);
const RETURNED = {
  number: (text) => `${text} + 1`,
  boolean: (text) => `!(${text})`,
  string: () => '""',
  array: () => "[]",
};
const LARGEST_CONSTANT = 64;

/**
 * All mutants of a source file, in the order of its text.
 *
 * @param kindOf "number", "boolean", "string", "array" or undefined for the type of an expression
 * @returns `{ start, end, is, operator }[]`: the text from `start` to `end` becomes `is`
 */
export function findMutants(source, kindOf) {
  const found = [];
  const change = (node, is, operator) => found.push({ start: node.getStart(source), end: node.end, is, operator });
  const textOf = (node) => node.getText(source);
  const replaceEach = (node, others, operator) => {
    for (const other of Array.isArray(others) ? others : []) change(node, other, operator);
  };

  const visit = (node) => {
    if (ts.isTypeNode(node) || ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return;
    if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return;
    if (ts.isNewExpression(node) && textOf(node.expression).endsWith("Error")) return;
    mutateExpression(node);
    mutateStatement(node);
    ts.forEachChild(node, visit);
  };

  const mutateExpression = (node) => {
    if (ts.isBinaryExpression(node)) {
      const operator = textOf(node.operatorToken);
      if (operator === "??") change(node, textOf(node.left), "no default");
      else replaceEach(node.operatorToken, OTHER_OPERATORS[operator], "operator");
    } else if (ts.isPrefixUnaryExpression(node) && /^[!-]$/.test(ts.tokenToString(node.operator) ?? "")) {
      change(node, textOf(node.operand), "no sign");
    } else if (ts.isPostfixUnaryExpression(node) && !ts.isForStatement(node.parent)) {
      const operator = ts.tokenToString(node.operator) ?? "";
      for (const other of OTHER_OPERATORS[operator] ?? []) change(node, textOf(node.operand) + other, "operator");
    } else if (node.kind === ts.SyntaxKind.TrueKeyword) change(node, "false", "boolean");
    else if (node.kind === ts.SyntaxKind.FalseKeyword) change(node, "true", "boolean");
    else if (ts.isNumericLiteral(node)) mutateNumber(node);
    else if (ts.isStringLiteral(node)) mutateString(node);
    else if (ts.isArrayLiteralExpression(node) && node.elements.length > 0 && !isAssigned(node)) {
      change(node, "[]", "empty array");
    } else if (ts.isConditionalExpression(node)) replaceEach(node.condition, ["true", "false"], "condition");
    else if (ts.isAwaitExpression(node) && !isPassedOn(node)) change(node, textOf(node.expression), "no await");
    else if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) mutateCall(node);
    else if (ts.isArrowFunction(node) && !ts.isBlock(node.body)) mutateResult(node.body);
  };

  const mutateNumber = (node) => {
    const value = Number(node.text);
    if (!Number.isInteger(value) || value > LARGEST_CONSTANT || isName(node)) return;
    replaceEach(node, value === 1 ? ["0", "2"] : [String(value + 1)], "constant");
  };

  const mutateString = (node) => {
    if (isName(node) || node.text === "" || node.text.includes(" ") || ts.isCaseClause(node.parent)) return;
    change(node, '""', "empty string");
  };

  const mutateCall = (node) => {
    const { name, expression } = node.expression;
    replaceEach(name, OTHER_METHODS[name.text], "method");
    if (PASSING.has(name.text)) change(node, textOf(expression), "no call");
  };

  const mutateResult = (node) => {
    const other = RETURNED[kindOf(node)];
    if (other && !/^(true|false|-?\d+|""|\[\])$/.test(textOf(node))) change(node, other(textOf(node)), "result");
  };

  const mutateStatement = (node) => {
    if (ts.isIfStatement(node)) replaceEach(node.expression, ["true", "false"], "condition");
    else if (ts.isWhileStatement(node)) replaceEach(node.expression, ["false"], "condition");
    else if (ts.isReturnStatement(node)) {
      if (node.expression) mutateResult(node.expression);
      else change(node, ";", "no statement");
    } else if (ts.isContinueStatement(node) || (ts.isBreakStatement(node) && !ts.isCaseClause(node.parent))) {
      change(node, ";", "no statement");
    } else if (ts.isExpressionStatement(node) && !/^(super|"use)/.test(textOf(node))) change(node, ";", "no statement");
  };

  visit(source);
  return found.toSorted((a, b) => a.start - b.start || a.end - b.end);
}

/** The left side of an assignment, or a pattern. */
function isAssigned(node) {
  const { parent } = node;
  return (ts.isBinaryExpression(parent) && parent.left === node) || ts.isForOfStatement(parent);
}

/** The result of an async function outside of any `try`: a promise that is returned settles the function's as its value would. */
function isPassedOn(node) {
  const isResult = ts.isReturnStatement(node.parent) || (ts.isArrowFunction(node.parent) && node.parent.body === node);
  let above = node.parent;
  while (above && !ts.isTryStatement(above) && !ts.isFunctionLike(above)) above = above.parent;
  return isResult && !(above && ts.isTryStatement(above));
}

/** A literal that names a property, or an element by a literal type. */
function isName(node) {
  const { parent } = node;
  if (ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent)) return parent.name === node;
  return ts.isLiteralTypeNode(parent) || (ts.isElementAccessExpression(parent) && ts.isStringLiteral(node));
}
