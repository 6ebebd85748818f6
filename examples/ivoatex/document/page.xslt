<?xml version="1.0" encoding="UTF-8"?>
<!-- The page of a paper: what tth made, with a look, and a list of its sections below the title. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="html" encoding="UTF-8" doctype-system="about:legacy-compat"/>

  <xsl:template match="@*|node()">
    <xsl:copy><xsl:apply-templates select="@*|node()"/></xsl:copy>
  </xsl:template>

  <xsl:template match="/">
    <html lang="en">
      <head>
        <title><xsl:value-of select="normalize-space(//h1[1])"/></title>
        <style>
          body { max-width: 42em; margin: 3em auto; padding: 0 1em; font: 1.05em/1.55 Georgia, serif; color: #222 }
          h1, h2, h3 { font-weight: normal } h1 { font-size: 2em; text-align: center } img { max-width: 100% }
          a { color: #1a4d99 } td { padding: 0 .15em; white-space: nowrap } dt { float: left } dd { margin-left: 2em }
          hr { border: 0; border-top: 1px solid #222; margin: .15em 0 } .p { margin-top: .8em }
          .contents { border-left: 3px solid #d97319; padding-left: 1em; margin: 2em 0 }
        </style>
      </head>
      <body>
        <xsl:apply-templates select="//body/node()"/>
      </body>
    </html>
  </xsl:template>

  <!-- Before the abstract, which has the first heading; tth names sections tth_sEc1, tth_sEc2, … -->
  <xsl:template match="h2[1]">
    <div class="contents">
      <xsl:for-each select="//a[starts-with(@id, 'tth_sEc')]">
        <div><a href="#{@id}"><xsl:value-of select="normalize-space(following-sibling::h2[1])"/></a></div>
      </xsl:for-each>
    </div>
    <h2><xsl:apply-templates select="node()"/></h2>
  </xsl:template>

  <!-- A paper without a date has an empty line for it. -->
  <xsl:template match="h3[not(normalize-space())]"/>
</xsl:stylesheet>
